#!/usr/bin/python3
"""A large configuration is reloaded again and again under load: packets do not wait for it, and no flow is hurt that it keeps."""

import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, files, servers
from lab.lab import HOSTS, VIP, Lab
from lab.transfer import Transfer

HOST2, HOST3, HOST4 = HOSTS.values()
SERVICES = case.scaled(10_000)
RELOADS = 8
RATE = 8 << 20  # bytes a second
EVERY = 0.001  # seconds between datagrams
LOST = 10.0  # seconds until a datagram is given up


def configuration(variant):
    """Besides those of the lab, services on ports of their own: every second one differs between the variants 0 and 1."""
    many = [config.service(f"many{index}", 10_000 + index, HOST3, 8000 + variant * (index % 2)) for index in range(SERVICES)]
    return config.configuration(workers=2, offered=[config.service("web", 80, HOST2, 8080),
                                                    config.service("echo", 7, HOST4, protocol="udp"), *many])


class Pings(threading.Thread):
    """Datagrams at a steady pace, each when the last one has come back; how long the slowest took."""

    def __init__(self, namespace):
        super().__init__(daemon=True)
        with namespace.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(LOST)
        self._socket.connect((VIP, 7))
        self._over = threading.Event()
        self._times = []
        self.lost = 0
        self.start()

    def run(self):
        with self._socket:
            while not self._over.wait(EVERY):
                began = time.monotonic()
                try:
                    self._socket.send(b"ping")
                    self._socket.recv(16)
                except TimeoutError:
                    self.lost += 1
                self._times.append(time.monotonic() - began)

    def slowest(self):
        """Of those since the last call: the slowest, and that which one in a hundred is slower than. In milliseconds."""
        times, self._times = sorted(self._times), []
        return 1000 * times[-1], 1000 * times[len(times) * 99 // 100]

    def finish(self):
        self._over.set()
        self.join()


class Reload(case.Case):
    @case.vipgate_only
    def test_fault24_reloads_every_second_under_load(self):
        with Lab() as lab:
            servers.web(lab)
            servers.echo(lab)
            digest = files.write_random(f"{lab.path('www')}/file", RATE * (3 * RELOADS + 8))
            with self.gateway(lab, configuration(0)) as gateway:
                # Written beforehand: while Python makes JSON none of its threads runs, and the datagrams would wait for that.
                texts = [json.dumps(config.placed(lab, configuration(variant))) for variant in (0, 1)]
                transfer, pings = Transfer(lab.client, VIP, "/file", RATE), Pings(lab.client)
                try:
                    time.sleep(4)
                    quiet = pings.slowest()
                    took = []
                    for number in range(1, RELOADS + 1):
                        gateway.write(texts[number % 2])
                        began = time.monotonic()
                        done = gateway.command("reload")
                        took.append(time.monotonic() - began)
                        self.assertEqual(done.returncode, 0, done.stderr)
                        time.sleep(max(0, 1 - took[-1]))
                    during = pings.slowest()
                    self.assertTrue(transfer.going(), "the transfer should last longer than this")
                finally:
                    pings.finish()
                self.assertEqual(transfer.finish(), digest)
                self.assertEqual(pings.lost, 0, "datagrams that were lost")
                self.assertEqual(gateway.status()["generation"], 1 + RELOADS)
        print(f"{SERVICES} services: a reload takes {1000 * min(took):.0f} to {1000 * max(took):.0f} ms; the slowest answer "
              f"(one in a hundred is slower than) {during[0]:.1f} ({during[1]:.1f}) ms, without reloads {quiet[0]:.1f} ({quiet[1]:.1f}) ms ",
              end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    case.main()
