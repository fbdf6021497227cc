#!/usr/bin/python3
"""HTTP through a VIP: large transfers by hash, many at once, many short ones; every way the gateway can be set."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, clients, files, servers
from lab.lab import CLIENT, MASQUERADE, VIP

GIB = 1 << 30
URL = f"http://{VIP}"


class Web(case.Case):
    def exercise(self, size, connections, source="masquerade", **options):
        size, connections = case.scaled(size), case.scaled(connections)
        with self.network(servers.web, source=source, **options) as lab:
            digest = files.write_random(f"{lab.path('www')}/file", size)
            self.assertEqual(clients.download(lab.client, f"{URL}/file"), digest, "the download differs")
            clients.upload(lab.client, f"{lab.path('www')}/file", f"{URL}/sent")
            self.assertEqual(files.sha256_at(f"{lab.path('www')}/sent"), digest, "the upload differs")
            self.assertEqual(clients.download_slices(lab, URL, "file", 200, size // 512), [], "slices that differ")
            lab.client.sysctl("net/ipv4/ip_local_port_range", "1024 65535")
            seen = MASQUERADE if source == "masquerade" else CLIENT
            self.assertEqual(clients.connect_often(lab.client, VIP, 80, connections, seen), "")

    def test_masquerade_one_worker(self):
        self.exercise(GIB, 20_000, workers=1)

    def test_preserve_two_workers(self):
        self.exercise(GIB, 20_000, workers=2, source="preserve")

    def test_masquerade_two_workers(self):
        self.exercise(GIB // 16, 2_000, workers=2)

    def test_preserve_one_worker(self):
        self.exercise(GIB // 16, 2_000, workers=1, source="preserve")

    def test_masquerade_four_workers(self):
        self.exercise(GIB // 16, 2_000, workers=4)

    def test_masquerade_one_worker_without_offload(self):
        self.exercise(GIB // 16, 1_000, workers=1, offload=False)

    def test_masquerade_two_workers_without_offload(self):
        self.exercise(GIB // 16, 1_000, workers=2, offload=False)

    def test_preserve_one_worker_without_offload(self):
        self.exercise(GIB // 16, 1_000, workers=1, offload=False, source="preserve")

    def test_preserve_two_workers_without_offload(self):
        self.exercise(GIB // 16, 1_000, workers=2, offload=False, source="preserve")


if __name__ == "__main__":
    case.main()
