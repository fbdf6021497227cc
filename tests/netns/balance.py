#!/usr/bin/python3
"""How clients are shared out among three web servers: by client, in turn, by load; weights, backups, and reloads."""

import collections
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, files, servers
from lab.lab import HOSTS, VIP, Lab

FIRST, SECOND, THIRD = HOSTS.values()
URL = f"http://{VIP}"


def web_on_all(lab):
    for address in HOSTS.values():
        servers.web(lab, address)


def three(weights=(1, 1, 1), backups=(), **keys):
    """The web service, on all three hosts."""
    backends = [{"address": address, "port": 8080, "weight": weight, "backup": address in backups}
                for address, weight in zip(HOSTS.values(), weights)]
    return config.configuration(workers=2, offered=[{**config.service("web", 80, FIRST), "backends": backends, **keys}])


def served_by(lab, requests):
    """How often each host answered, a connection a request."""
    with open(lab.path("urls"), "w") as file:
        file.write(f'url = "{URL}/"\n' * requests)
    said = lab.client.run("curl", "-sS", "-m", 30, "-H", "Connection: close", "-K", lab.path("urls")).stdout
    return collections.Counter(re.findall(r"nginx on ([0-9.]+):8080", said))


class Balance(case.Case):
    def share(self, requests, **keys):
        with Lab() as lab:
            web_on_all(lab)
            with self.gateway(lab, three(**keys)):
                return served_by(lab, requests)

    @case.vipgate_only
    def test_in_turn_by_weight(self):
        self.assertEqual(self.share(120, balance="round_robin", weights=(1, 2, 3)), {FIRST: 20, SECOND: 40, THIRD: 60})

    @case.vipgate_only
    def test_by_client(self):
        shares = self.share(300)
        self.assertEqual(sum(shares.values()), 300)
        self.assertGreater(min(shares[address] for address in HOSTS.values()), 50)

    @case.vipgate_only
    def test_affinity(self):
        self.assertEqual(list(self.share(50, affinity="client").values()), [50])

    @case.vipgate_only
    def test_by_load(self):
        """Two hosts have connections that stay; the third gets what comes until it has as many."""
        with Lab() as lab:
            web_on_all(lab)
            with self.gateway(lab, three(balance="least_connections")) as gateway:
                with lab.client.entered():
                    kept = [socket.create_connection((VIP, 80), 5) for _ in range(30)]
                gateway.reload(three(balance="least_connections", weights=(1, 1, 2)), says="reloaded")
                self.assertEqual(served_by(lab, 20), {THIRD: 20}, "10 of 1, 10 of 1, 10 of 2")
                for connection in kept:
                    connection.close()

    @case.vipgate_only
    def test_weight_0_and_backup(self):
        """A transfer goes on at its host while that takes nothing new; the backup stands in for all others alone."""
        with Lab() as lab:
            web_on_all(lab)
            digest = files.write_random(f"{lab.path('www')}/file", 32 << 20)
            with self.gateway(lab, three(weights=(1, 0, 1), backups=[THIRD])) as gateway:
                self.assertEqual(served_by(lab, 20), {FIRST: 20})
                transfer = lab.client.start("curl", "-sS", "-m", "30", f"{URL}/file?rate=8m", stdout=subprocess.PIPE)
                with transfer:
                    transfer.stdout.peek(1)
                    gateway.reload(three(weights=(0, 1, 1), backups=[THIRD]), says="reloaded")
                    self.assertEqual(served_by(lab, 20), {SECOND: 20})
                    gateway.reload(three(weights=(0, 0, 1), backups=[THIRD]), says="reloaded")
                    self.assertEqual(served_by(lab, 20), {THIRD: 20})
                    gateway.reload(three(weights=(0, 0, 0)), says="reloaded")
                    refused = lab.client.run("curl", "-sS", "-m", 20, URL, check=False)
                    self.assertEqual(refused.returncode, 7, "nobody takes flows: reset, as unmatched says")
                    gateway.reload(three(weights=(1, 0, 0)), says="reloaded")
                    self.assertEqual(served_by(lab, 5), {FIRST: 5})
                    self.assertIsNone(transfer.poll(), "the transfer was over too early to tell")
                    self.assertEqual(files.sha256(transfer.stdout), digest)


if __name__ == "__main__":
    case.main()
