# shellcheck shell=bash disable=SC2034
# The Debian packages that the scripts here need, by purpose, and how they are installed. Sourced, not run.

packages_build="clang-14 cmake g++ ninja-build pkg-config libabsl-dev libbenchmark-dev libboost1.81-dev libcli11-dev libgmock-dev
  libgtest-dev libbpf-dev libnl-route-3-dev libpcap-dev libsystemd-dev liburing-dev nlohmann-json3-dev"
packages_demo="bind9-dnsutils curl dnsmasq-base iproute2 iputils-ping nginx python3 python3-aiosmtpd tcpdump"
packages_failover="bird2 nftables"
packages_test="$packages_demo $packages_failover chromium chromium-driver ethtool frr iptables keepalived lftp lintian man-db netbase prometheus python3-jsonschema python3-selenium systemd traceroute tshark util-linux valgrind vsftpd zsh"
packages_package="dpkg-dev file gzip"
packages_bench="$packages_test haproxy iperf3 libnginx-mod-stream python3-matplotlib wrk"
packages_extended="libclang-rt-14-dev llvm-14"

policy=/usr/sbin/policy-rc.d
policy_mark="# vipgate: no server starts while its package is installed"

# Installs what is missing of the groups; with install=no, or without root, says what to type instead and fails.
need_packages() {
  local group list package missing=()
  for group in "$@"; do
    list="packages_$group"
    for package in ${!list}; do
      [[ " ${missing[*]} " = *" $package "* ]] || installed "$package" || missing+=("$package")
    done
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "${install:-yes}" = no ] || [ "$(id -u)" != 0 ]; then
    printf 'Packages are missing. Install them, as root, with\n\n  apt-get install --no-install-recommends %s\n\n' "${missing[*]}" >&2
    return 1
  fi
  printf 'Installing %s\n' "${missing[*]}"
  install_quietly "${missing[@]}"
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Runs in a shell of its own, so that its trap restores the policy whatever happens.
install_quietly() (
  local server new=()
  for server in nginx vsftpd bird frr keepalived haproxy prometheus; do
    [ -e "/etc/init.d/$server" ] || new+=("$server")
  done
  hold_servers
  trap release_servers EXIT
  trap 'exit 130' INT TERM
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@" >/dev/null || exit 1
  # Nor shall a server start with the machine that nobody asked for.
  for server in "${new[@]}"; do
    if [ -e "/etc/init.d/$server" ]; then update-rc.d "$server" disable >/dev/null 2>&1 || true; fi
  done
)

hold_servers() {
  if [ -e "$policy" ] && ! grep -qF "$policy_mark" "$policy"; then mv "$policy" "$policy.before-vipgate"; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy"
  chmod 755 "$policy"
}

release_servers() {
  rm -f "$policy"
  if [ -e "$policy.before-vipgate" ]; then mv "$policy.before-vipgate" "$policy"; fi
}
