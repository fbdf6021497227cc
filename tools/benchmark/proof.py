"""How each kind of way shows in the counters of the gateway's namespace; where its two ends are."""

import os

from lab.lab import HOSTS

BACKEND = HOSTS["host3"]
WEB, IPERF = 80, 5201  # on the VIP and on the backend
WORKERS = os.cpu_count()  # of every program: what vipgate takes of itself, too


class Forwarded:
    """Proof that the kernel forwards, and no program."""

    programs = frozenset()  # in the gateway's namespace

    def fault(self, traffic, payload):
        """What of a measurement's counters contradicts this way, or ""."""
        if traffic.tun:
            return f"tun0 carried {traffic.tun} bytes"
        if traffic.forwarded < 100 * traffic.delivered or not traffic.forwarded:
            return f"the kernel forwarded {traffic.forwarded} packets and delivered {traffic.delivered} to programs"
        return _too_little("public", traffic.public, payload)


class Tunnelled:
    """Proof that a program carries it from tun0 to tun0."""

    def fault(self, traffic, payload):
        return _too_little("tun0", traffic.tun, payload)


class Proxied:
    """Proof that a program has connections of its own: nothing is forwarded."""

    def fault(self, traffic, payload):
        if traffic.delivered < 100 * traffic.forwarded or not traffic.delivered:
            return f"the kernel forwarded {traffic.forwarded} packets and delivered {traffic.delivered} to programs"
        return _too_little("public", traffic.public, payload)


def _too_little(device, carried, payload):
    return f"{device} carried {carried} bytes of {payload}" if carried < payload else ""
