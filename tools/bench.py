#!/usr/bin/python3
"""Bytes through the gateway with iperf3, every way in turn, round by round; the table gives medians of the rounds' ratios.

The engine alone: tools/bench.sh --engine."""

import argparse
import json
import statistics
import sys

from lab import config, servers
from lab.kernel_nat import KernelNat
from lab.lab import HOSTS, VIP, Lab, end_on_signals
from lab.namespace import LabError
from lab.vipgate import Vipgate


class Routed:
    """No gateway program: the private host is addressed directly."""

    def __init__(self, lab, _):
        self._gateway = lab.gateway

    def start(self):
        self._gateway.sysctl("net/ipv4/ip_forward", 1)

    def stop(self):
        self._gateway.sysctl("net/ipv4/ip_forward", 0)


# name: the gateway, how it is set, the address that the client uses
WAYS = {
    "routed": (Routed, {}, HOSTS["host3"]),
    "nftables": (KernelNat, {}, VIP),
    "vipgate": (Vipgate, {}, VIP),
    "vipgate, offload off": (Vipgate, {"offload": False}, VIP),
}
BASE = "nftables"


def measure(way, streams, seconds):
    """Gigabits a second that arrive at the server through one way."""
    kind, settings, address = WAYS[way]
    with Lab() as lab:
        servers.iperf(lab)
        gateway = kind(lab, config.configuration(**settings))
        gateway.start()
        done = lab.client.run("iperf3", "-c", address, "-P", streams, "-t", seconds, "-O", 1, "--json")
        gateway.stop()
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9


def table(rounds, streams, seconds, ways):
    """Runs all rounds for a number of streams and prints their rows."""
    rates = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            rates[way].append(measure(way, streams, seconds))
    print(f"\n{streams} stream{'s' if streams > 1 else ''}, {rounds} rounds of {seconds} s")
    print(f"  {'way':<24}{'Gb/s':>8}   {'of ' + BASE:<24}")
    for way in ways:
        ratios = [mine / base for mine, base in zip(rates[way], rates[BASE])]
        print(f"  {way:<24}{statistics.median(rates[way]):>8.2f}   {spread(ratios)}")
    if {"vipgate", "vipgate, offload off"} <= set(ways):
        gains = [on / off for on, off in zip(rates["vipgate"], rates["vipgate, offload off"])]
        print(f"  {'offload on against off':<35}{spread(gains)}")


def spread(ratios):
    return f"{statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, metavar="WAY", help=", ".join(WAYS))
    options = parser.parse_args()
    if BASE not in options.ways:
        parser.error(f"{BASE} is what the others are compared with")
    end_on_signals()
    try:
        for streams in options.streams:
            table(options.rounds, streams, options.seconds, options.ways)
    except LabError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
