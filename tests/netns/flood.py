#!/usr/bin/python3
"""A flood of SYNs against a small flow table: what is set up goes on, good clients get in, and memory stays as it is."""

import contextlib
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, files, servers
from lab.lab import CLIENT, HOSTS, VIP, Lab

FLOWS = max(8192, case.scaled(65536))
HALVES = (FLOWS * 5 // 4, FLOWS * 3 // 4)  # SYNs: the first half of a flood fills the table
SECONDS = 3  # of each half, at least
DOWNLOADS = 4
RATE = 4 << 20  # bytes a second and download: they last as long as the flood
PATIENCE = 20  # seconds until a good client must have been served
LONGEST_STALL = 2
GREEDY = "198.51.100.8"
SHARE = 20  # flows that a client may have, where there is a limit
MORE_MEMORY = 4 << 10  # KiB: less than the SYNs of the second half would take if they were remembered


def unanswered_addresses(lab):
    """A server function: what goes to addresses that nobody has leaves through the public interface, and is lost there."""
    lab.gateway.ip(f"route add default via {CLIENT}")
    lab.client.ip(f"addr add {GREEDY}/24 dev eth0")


class Download(threading.Thread):
    """A slow download of a whole file, on a connection that is set up before anything else happens."""

    def __init__(self, lab, size):
        super().__init__()
        with lab.client.entered():
            self._connection = socket.create_connection((VIP, 80), PATIENCE)
        self._size = size
        self._connection.settimeout(60)
        self._connection.sendall(b"GET /file HTTP/1.1\r\nHost: vip\r\n\r\n")
        self.longest_stall = 0
        self.digest = None
        self.over = threading.Event()  # asks for the rest at full speed

    def run(self):
        with self._connection, self._connection.makefile("rb") as stream:
            while stream.readline() != b"\r\n":
                pass
            digest, began, got = hashlib.sha256(), time.monotonic(), 0
            while got < self._size:
                asked = time.monotonic()
                data = stream.read1(1 << 16)
                self.longest_stall = max(self.longest_stall, time.monotonic() - asked)
                if not data:
                    return
                digest.update(data)
                got += len(data)
                if not self.over.is_set():
                    time.sleep(max(0, began + got / RATE - time.monotonic()))
            self.digest = digest.hexdigest()


def mac_of(namespace, device):
    return re.search(r"link/ether (\S+)", namespace.run("ip", "link", "show", device).stdout)[1]


def flood(lab, count):
    """Starts to send at least so many SYNs."""
    script = os.path.join(os.path.dirname(servers.__file__), "syn_flood.py")
    arguments = ("eth0", mac_of(lab.gateway, "public"), VIP, 80, count, SECONDS)
    return lab.client.start(sys.executable, script, *arguments, stdout=subprocess.PIPE)


def memory_of(process):
    """Resident KiB of a program that runs in a namespace."""
    with open(f"/proc/{process.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def ask(lab):
    """One good client: how many seconds it waited for its answer, and what went wrong, if anything."""
    began = time.monotonic()
    asked = lab.client.run("curl", "-sS", "--fail", "-o", "/dev/null", "-m", PATIENCE, "--interface", CLIENT, f"http://{VIP}/",
                           check=False)
    return time.monotonic() - began, asked.stderr.strip()


class Flood(case.Case):
    @contextlib.contextmanager
    def web(self, workers=1, **keys):
        settings = {
            **config.configuration(workers=workers, offered=[config.service("web", 80, HOSTS["host2"], 8080, **keys)]),
            "flows": {"max": FLOWS},
        }
        with Lab() as lab:
            servers.web(lab)
            unanswered_addresses(lab)
            with self.gateway(lab, settings) as gateway:
                yield lab, gateway
            self.log = gateway.log()

    def totals(self):
        """The counters that the gateway ends with, by name."""
        line = re.search(r"totals: (.*)", self.log)[1]
        return {name: int(number) for name, number in re.findall(r"([a-z_][a-z_ ]*?) (\d+)", line)}

    def flood(self, meanwhile=lambda lab: None, **options):
        size = 2 * RATE * SECONDS
        with self.web(**options) as (lab, gateway):
            digest = files.write_random(f"{lab.path('www')}/file", size)
            downloads = [Download(lab, size) for _ in range(DOWNLOADS)]
            for download in downloads:
                download.start()
            asked, memory, sent, lasted = [], [], 0, 0
            try:
                for count in HALVES:
                    with flood(lab, count) as attack:
                        while attack.poll() is None:
                            asked.append(ask(lab))
                            meanwhile(lab)
                        count, seconds = attack.stdout.read().split()
                    sent, lasted = sent + int(count), lasted + float(seconds)
                    memory.append(memory_of(gateway.process))
            finally:
                for download in downloads:
                    download.over.set()
                for download in downloads:
                    download.join()
        stall = max(download.longest_stall for download in downloads)
        print(f"\n  {sent} SYNs, {sent / lasted:.0f}/s; longest stall {stall:.2f} s; {len(asked)} clients, the slowest "
              f"{max(wait for wait, _ in asked):.2f} s; {memory[0]} KiB, then {memory[1]} KiB", file=sys.stderr)
        totals = self.totals()
        print(f"  {totals}", file=sys.stderr)
        self.assertEqual([download.digest for download in downloads], [digest] * DOWNLOADS)
        self.assertEqual([error for _, error in asked if error], [], f"of {len(asked)} good clients")
        self.assertLess(stall, LONGEST_STALL)
        self.assertLess(memory[1] - memory[0], MORE_MEMORY)
        # No SYN's flow has timed out yet: what was opened beyond the table's size was opened in the place of others.
        self.assertGreater(totals["flows opened"], FLOWS, "the flood did not fill the table")
        self.assertNotIn("table_full", totals)
        self.assertNotIn("ports_exhausted", totals)

    @case.vipgate_only
    def test_fault10_syn_flood(self):
        self.flood()

    @case.vipgate_only
    def test_fault10_syn_flood_two_workers(self):
        self.flood(workers=2)

    @case.vipgate_only
    def test_fault10_one_client_cannot_take_all(self):
        """Under a flood, one address asks for as many connections as it can get; the others get theirs."""
        greedy = []

        def grab(lab):
            with lab.client.entered():
                one = socket.socket()
            one.settimeout(0.5)
            one.bind((GREEDY, 0))
            with contextlib.suppress(OSError):
                one.connect((VIP, 80))
                one.sendall(b"HEAD / HTTP/1.1\r\nHost: vip\r\n\r\n")
                if one.recv(1):  # an answered SYN is not enough: the flood may have taken the flow's place, or the ACK
                    greedy.append(one)
                    return
            one.close()

        try:
            self.flood(grab, source="preserve", limits={"flows_per_client": SHARE})
        finally:
            for one in greedy:
                one.close()
        self.assertGreater(len(greedy), 0)
        self.assertLessEqual(len(greedy), SHARE)


if __name__ == "__main__":
    case.main()
