#!/usr/bin/env bash
# Measures the gateway beside the kernel's NAT, in turn, in one run. Arguments: see tools/bench.sh --help
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

. tools/packages.sh
need_packages build bench

mkdir -p build
cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
cmake --build --preset release --target vipgate -j "$(nproc)" >&2

exec /usr/bin/python3 tools/bench.py "$@"
