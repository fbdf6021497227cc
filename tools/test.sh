#!/usr/bin/env bash
# Builds everything and runs every test.
#
#   tools/test.sh               g++; warnings are errors
#   tools/test.sh --extended    clang with AddressSanitizer and UndefinedBehaviorSanitizer, in place of g++; and fuzzing,
#                               20 seconds for each target
#   tools/test.sh --no-install  say what is missing instead of installing it
#
# Tests with real programs in network namespaces need root. They are skipped without it, and never where CI=true.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

install=yes
preset=release
groups=(build package test)
for argument in "$@"; do
  case "$argument" in
    --no-install) install=no ;;
    --extended) preset=clang; groups+=(extended) ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' tools/test.sh; exit 0 ;;
    *) echo "test.sh: $argument is unknown; see tools/test.sh --help" >&2; exit 2 ;;
  esac
done

. tools/packages.sh
need_packages "${groups[@]}"

cmake --preset "$preset"
# Large pages for the compiler's memory: clang takes a tenth less time.
GLIBC_TUNABLES=glibc.malloc.hugetlb=1 cmake --build --preset "$preset" -j "$(nproc)"

failed=0
ctest --preset "$preset" -j "$(nproc)" --label-exclude netns || failed=1
ctest --preset "$preset" -j "$((2 * $(nproc)))" --label-regex netns || failed=1
if [ "$preset" = clang ]; then tools/fuzz.sh all 20 --jobs "$(nproc)" || failed=1; fi
exit "$failed"
