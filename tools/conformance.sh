#!/usr/bin/env bash
# Says which requirements hold: for each, what vipgate does, which tests show it, and whether they pass.
#
#   tools/conformance.sh               builds, and runs the unit tests that bear a requirement's id
#   tools/conformance.sh --netns       also those with real programs in network namespaces; needs root
#   tools/conformance.sh --markdown    as a table in Markdown
#   tools/conformance.sh --no-build    with the build that is there
#   tools/conformance.sh --no-install  say what is missing instead of installing it
#
# The requirements are in tests/conformance/requirements.md. Exit code: 0 all hold or are stated deviations, 1 not all.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

install=yes
build=yes
groups=(build test)
arguments=()
for argument in "$@"; do
  case "$argument" in
    --no-install) install=no ;;
    --no-build) build=no ;;
    --netns | --markdown) arguments+=("$argument") ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' tools/conformance.sh; exit 0 ;;
    *) echo "conformance.sh: $argument is unknown; see tools/conformance.sh --help" >&2; exit 2 ;;
  esac
done

if [ "$build" = yes ]; then
  . tools/packages.sh
  need_packages "${groups[@]}"
  mkdir -p build
  cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
  cmake --build --preset release -j "$(nproc)" >&2
fi

exec /usr/bin/python3 tools/conformance.py --build "${VIPGATE_BUILD:-build/release}" "${arguments[@]}"
