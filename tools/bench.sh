#!/usr/bin/env bash
# Measures the gateway beside the kernel's NAT, in turn, in one run. Arguments: see tools/bench.sh --help
#
#   tools/bench.sh --engine     the engine alone: nanoseconds a packet and set-ups a second, by the number of flows;
#                               further arguments are Google Benchmark's
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

target=vipgate
if [ "${1:-}" = --engine ]; then target=bench_engine; shift; fi

. tools/packages.sh
if [ "$target" = vipgate ]; then need_packages build bench; else need_packages build; fi

mkdir -p build
cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
cmake --build --preset release --target "$target" -j "$(nproc)" >&2

if [ "$target" = bench_engine ]; then exec build/release/tests/bench/bench_engine "$@"; fi
exec /usr/bin/python3 tools/bench.py "$@"
