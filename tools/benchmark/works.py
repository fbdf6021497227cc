"""What the ways are put to, with real programs as clients and servers."""

import collections
import json
import os

from lab.namespace import LabError

from . import counters
from .proof import BACKEND, IPERF

Outcome = collections.namedtuple("Outcome", "rate amount payload details")
"""The rate, in the work's unit; how much there was, in what seconds of processor time are given by; bytes of payload; anything else."""

_DATAGRAM = 64  # bytes of payload
_CONNECTIONS = 32
_SCRIPT = os.path.join(os.path.dirname(__file__), "wrk.lua")
_GRACE = 30  # seconds more than was asked for, then a client hangs


def _iperf(client, address, seconds, *options):
    """What the iperf3 server has received."""
    command = ("iperf3", "-c", address, "-p", IPERF, "-t", seconds, "--json", *options)
    said = json.loads(client.run(*command, check=False, timeout=seconds + _GRACE).stdout)
    if "error" in said:
        raise LabError(f"iperf3: {said['error']}")
    return said["end"]["sum_received"]


class Bulk:
    """Bytes as fast as they go, to the backend."""

    unit, per = "Gb/s", "s/GB"

    def __init__(self, streams):
        self._streams = streams
        self.title = f"bulk, {streams} stream{'s' if streams > 1 else ''}"

    def prepare(self, lab):
        pass

    def run(self, lab, address, seconds):
        got = _iperf(lab.client, address, seconds, "-P", self._streams)
        return Outcome(got["bits_per_second"] / 1e9, got["bytes"] / 1e9, got["bytes"], {})


class Packets(Bulk):
    """Bytes from a sender without segmentation offload: they come in packets, as from another machine. The gateway's card may merge
    them, as most do."""

    def __init__(self, merged):
        super().__init__(1)
        self._merged = merged
        self.title = "bulk, packets of 1500 bytes" + (", GRO" if merged else "")

    def prepare(self, lab):
        lab.client.offload("eth0", False)
        lab.gateway.run("ethtool", "-K", "public", "gro", "on" if self._merged else "off")


class Datagrams:
    """Small UDP packets as fast as one sender makes them. Those count that reach the backend, even when its iperf3 is too slow for
    them: it shares this machine with the gateway."""

    title = f"UDP packets of {_DATAGRAM} bytes"
    unit, per = "1000/s", "ms/1000"

    def prepare(self, lab):
        pass

    def run(self, lab, address, seconds):
        backend = lab.hosts[BACKEND]
        before = counters.datagrams(backend)
        got = _iperf(lab.client, address, seconds, "-u", "-l", _DATAGRAM, "-b", 0)
        packets = counters.datagrams(backend) - before
        read = {"read_by_iperf3": got["bytes"] / _DATAGRAM / got["seconds"] / 1e3}
        return Outcome(packets / got["seconds"] / 1e3, packets / 1e6, packets * _DATAGRAM, read)


class Requests:
    """Small pages of a web server, asked for on some connections at a time."""

    def __init__(self, keep_alive):
        self._headers = () if keep_alive else ("-H", "Connection: close")
        self.title = f"HTTP on {_CONNECTIONS} connections" if keep_alive else "HTTP, a connection for each request"
        self.unit, self.per = "requests/s" if keep_alive else "connections/s", "ms/1000"

    def prepare(self, lab):
        lab.client.sysctl("net/ipv4/tcp_tw_reuse", 1)  # else the client's ports would be used up

    def run(self, lab, address, seconds):
        command = ("wrk", "-t", 2, "-c", _CONNECTIONS, "-d", seconds, "-s", _SCRIPT, *self._headers, f"http://{address}/")
        done = lab.client.run(*command, timeout=seconds + _GRACE)
        said = json.loads(done.stdout.splitlines()[-1])
        if said["errors"] > said["requests"] / 1000:
            raise LabError(f"wrk: {said['errors']} errors in {said['requests']} requests")
        details = {"p50_ms": said["p50"] / 1e3, "p99_ms": said["p99"] / 1e3}
        return Outcome(said["requests"] / said["microseconds"] * 1e6, said["requests"] / 1e6, said["bytes"], details)


WORKS = {
    "bulk": Bulk(1),
    "bulk4": Bulk(4),
    "packets": Packets(merged=False),
    "udp": Datagrams(),
    "http": Requests(keep_alive=True),
    "connections": Requests(keep_alive=False),
    "packets-gro": Packets(merged=True),
}
USUAL = list(WORKS)[:6]  # the other on request
