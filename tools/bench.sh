#!/usr/bin/env bash
# Measures the gateway beside the kernel's NAT, two proxies and what its TUN allows, in turn, in one run.
#
#   tools/bench.sh              all of it, about 20 minutes
#   tools/bench.sh --quick      all of it, in less than 3 minutes; further arguments: see tools/bench.sh --help
#   tools/bench.sh --engine     the engine alone: nanoseconds a packet and set-ups a second, by the number of flows;
#                               further arguments are Google Benchmark's
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

targets=(vipgate reflector)
groups=(build bench)
if [ "${1:-}" = --engine ]; then targets=(bench_engine); groups=(build); shift; fi

. tools/packages.sh
need_packages "${groups[@]}"

mkdir -p build
cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
cmake --build --preset release --target "${targets[@]}" -j "$(nproc)" >&2

if [ "${targets[0]}" = bench_engine ]; then exec build/release/tests/bench/bench_engine "$@"; fi
exec /usr/bin/python3 tools/bench.py "$@"
