#!/usr/bin/env bash
# Builds the Debian package and says where it is: build/release/vipgate_VERSION_ARCHITECTURE.deb. As root it installs what that needs.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

. tools/packages.sh
need_packages build package

mkdir -p build
cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
cmake --build --preset release --target package_files -j "$(nproc)" >&2
cd build/release
cpack -G DEB >cpack.log 2>&1 || { cat cpack.log >&2; exit 1; }
ls "$PWD"/vipgate_*.deb
