"""One measurement: a network, a way, a work, and the proof that the way was taken."""

import os

from lab import clients, files, servers
from lab.lab import Lab
from lab.namespace import LabError

from . import counters
from .proof import BACKEND, WEB
from .ways import WAYS

_PROOF = 32 << 20  # bytes whose hash each way must keep


class WrongWay(Exception):
    """A measurement does not belong to the way that it was meant for."""


def _through(way, prepare, use):
    """Starts a way in a network of its own: what another left there, connections or ports in use, would be in its way.

    `use(lab, address)` gives the bytes of payload and a result. Returns that result, the memory of the way's programs and what the
    gateway's counters say of the payload.
    """
    with Lab() as lab:
        prepare(lab)
        servers.web(lab, BACKEND, WEB)
        servers.iperf(lab)
        gateway = WAYS[way](lab)
        gateway.start()
        before = counters.traffic(lab.gateway)
        payload, result = use(lab, gateway.address)
        carried = counters.since(before, counters.traffic(lab.gateway))
        programs, memory = counters.programs(lab.gateway)
        if programs != gateway.programs:
            raise WrongWay(f"{way}: the gateway ran {' and '.join(sorted(programs)) or 'no program'}")
        if fault := gateway.fault(carried, payload):
            raise WrongWay(f"{way}: {fault}")
        seen = _seen(lab, gateway.address)
        if seen != gateway.seen:
            raise WrongWay(f"{way}: the backend sees connections from {seen}, not {gateway.seen}")
        gateway.stop()
    return result, memory, carried


def _seen(lab, address):
    """Where a connection of the client seems to come from."""
    return lab.client.run("curl", "-sS", "--fail", f"http://{address}/").stdout.split()[-1]


def prove(way):
    """Downloads a file through a way; it must come as it is. Returns its hash."""
    expected = None

    def prepare(lab):
        nonlocal expected
        os.makedirs(lab.path("www"))
        expected = files.write_random(lab.path("www/random"), _PROOF)

    got, *_ = _through(way, prepare, lambda lab, address: (_PROOF, clients.download(lab.client, f"http://{address}/random")))
    if got != expected:
        raise WrongWay(f"{way}: a file came with another SHA-256")
    return got


def measure(way, work, seconds):
    def use(lab, address):
        before = counters.busy()
        outcome = work.run(lab, address, seconds)
        if not outcome.amount:
            raise LabError("nothing arrived")
        return outcome.payload, {"rate": outcome.rate, "cpu": (counters.busy() - before) / outcome.amount, **outcome.details}

    figures, memory, carried = _through(way, work.prepare, use)
    return {**figures, "memory": memory, "carried": carried._asdict()}
