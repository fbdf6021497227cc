#!/usr/bin/env bash
# Shows a web, a mail and a name server behind one virtual IP, in a network of namespaces on this machine.
#
#   tools/demo.sh               install what is needed, build, show, stay up until Ctrl-C
#   tools/demo.sh --once        show, check every answer, end; the exit code says whether all were right
#   tools/demo.sh --failover    show a transfer that goes on when a network card fails, and how long it stood still
#   tools/demo.sh --no-install  say what is missing instead of installing it
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

install=yes
group=
arguments=()
for argument in "$@"; do
  case "$argument" in
    --no-install) install=no ;;
    --once) arguments+=("$argument") ;;
    --failover) arguments+=("$argument"); group=failover ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' tools/demo.sh; exit 0 ;;
    *) echo "demo.sh: $argument is unknown; see tools/demo.sh --help" >&2; exit 2 ;;
  esac
done

if [ "$(id -u)" != 0 ]; then
  echo "demo.sh: network namespaces need root" >&2
  exit 1
fi

. tools/packages.sh
need_packages build demo ${group:+"$group"}

mkdir -p build
cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
cmake --build --preset release --target vipgate -j "$(nproc)"

exec /usr/bin/python3 tools/demo.py "${arguments[@]}"
