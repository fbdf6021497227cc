#!/usr/bin/python3
"""The gateway is killed, and ended, again and again, while transfers of every kind run: no flow may notice more than a pause.

Downloads and uploads by curl and nginx (masqueraded, preserved, and egress the other way round), FTP sessions whose control connection
goes on, and datagrams with sequence numbers.
"""

import contextlib
import errno
import ftplib
import hashlib
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import REPOSITORY, case, clients, config, files, kernel, servers
from lab.lab import CLIENT, HOSTS, MASQUERADE, VIP, Lab
from lab.namespace import stop
from lab.vipgate import Vipgate, binary
from lab.waiting import until

case.PROGRAMS = (*case.PROGRAMS, "vsftpd")

HOST2, HOST3, HOST4 = HOSTS.values()
RESTARTS = case.scaled(20)
MEAN_PAUSE = 0.8  # seconds between restarts
RATE = 48 << 10  # bytes per second of one transfer
SIZE = int(RATE * (RESTARTS * (MEAN_PAUSE + 0.7) + 2))  # lasts as long as the restarts, or nearly
DOWNLOADS, PRESERVED, UPLOADS, EGRESS, SESSIONS = (case.scaled(count) for count in (80, 40, 40, 30, 10))
SOCKETS = 10
PATIENCE = 120

SERVICES = [
    config.service("web", 80, HOST2, 8080),
    config.service("seen", 81, HOST2, 8080, source="preserve"),
    config.service("echo", 7, HOST4, protocol="udp"),
    config.service("ftp", 21, HOST3, helper="ftp"),
]


def settings(**options):
    return {**config.configuration(offered=SERVICES, **options), "egress": [{"from": f"{HOST4}/32", "as": VIP}]}


def with_state_on_tmpfs(lab, options):
    """A command that runs a gateway for which the state folder is such a tmpfs, which goes with it."""
    os.makedirs(lab.path("state"), exist_ok=True)
    gateway = Vipgate(lab, settings())
    script = f"mount -t tmpfs -o {options} tmpfs {lab.path('state')} && exec {binary()} run --config {gateway.config_path}"
    return "unshare", "--mount", "--propagation", "private", "sh", "-c", script


def said(lab):
    with open(lab.path("log")) as log:
        return log.read()


class Curl:
    """Many transfers at a time by one curl in a namespace.

    Downloads are paced by the server: what curl holds back has come already, and waits in the socket's buffer.
    """

    def __init__(self, namespace, lab, name, transfers):
        """`transfers`: lines of curl's configuration, one text each."""
        path = lab.path(f"{name}.curl")
        with open(path, "w") as file:
            # Each transfer has a connection of its own.
            file.write("\nnext\n".join(f'{one}\nmax-time = {PATIENCE}\nfail\nsilent\nshow-error' for one in transfers))
        many = ("--parallel", "--parallel-immediate", "--parallel-max", len(transfers), "--http1.1")
        self._child = namespace.start("curl", *many, "-K", path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.name = name

    def running(self):
        return self._child.poll() is None

    def finish(self):
        """What went wrong, as text."""
        said = self._child.communicate(timeout=PATIENCE)[0].decode().strip()
        return "" if self._child.returncode == 0 else f"{self.name}: curl {self._child.returncode}: {said[-500:]}"


class Datagrams(threading.Thread):
    """Sends numbered datagrams from a few sockets, and says which came back."""

    def __init__(self, namespace):
        super().__init__(daemon=True)
        with namespace.entered():
            self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
        for one in self._sockets:
            one.connect((VIP, 7))
            one.settimeout(0)
        self.sent = self.received = 0
        self.at_last = [0] * SOCKETS  # the highest number that came back, by socket
        self._over = threading.Event()
        self.start()

    def run(self):
        while not self._over.wait(0.01):
            for index, one in enumerate(self._sockets):
                self.sent += 1
                with contextlib.suppress(OSError):  # "no route" while there is no gateway
                    one.send(struct.pack("!Q", self.sent))
                with contextlib.suppress(OSError):
                    while data := one.recv(64):
                        self.received += 1
                        self.at_last[index] = max(self.at_last[index], *struct.unpack("!Q", data))

    def finish(self):
        """Every socket got an answer at the end, in the flow that it had from the beginning."""
        before = self.sent
        time.sleep(1)
        self._over.set()
        self.join()
        for one in self._sockets:
            one.close()
        return [index for index, last in enumerate(self.at_last) if last <= before - SOCKETS]


class Probe(threading.Thread):
    """Sends datagrams until one comes back, and knows when it did."""

    def __init__(self, namespace):
        super().__init__(daemon=True)
        with namespace.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((VIP, 7))
        self._socket.settimeout(0.001)
        self._came = None
        self.start()

    def run(self):
        with self._socket:
            while self._came is None:
                with contextlib.suppress(OSError):  # "no route", or nothing yet
                    self._socket.send(b"?")
                    self._socket.recv(16)
                    self._came = time.monotonic()

    def finish(self):
        self.join(PATIENCE)
        return self._came


class Session(threading.Thread):
    """An FTP session: one control connection, and data connections one after the other, in every way there is."""

    def __init__(self, namespace, digest):
        super().__init__(daemon=True)
        self._namespace, self._digest = namespace, digest
        self._over = threading.Event()
        self.files = 0
        self.trouble = ""
        self.start()

    def run(self):
        try:
            with self._namespace.entered(), ftplib.FTP(VIP, timeout=PATIENCE) as session:
                session.trust_server_pasv_ipv4_address = True
                session.login()
                while not self._over.is_set():
                    session.set_pasv(self.files % 3 != 2)
                    if self._opens(session):
                        self.files += 1
        except Exception as error:  # what there is to say is said by the main thread
            self.trouble = f"{type(error).__name__}: {error}"

    def _opens(self, session):
        """Fetches the file. False: the data connection could not be opened, since no gateway was there at the moment."""
        try:
            self._fetch(session)
        except ftplib.error_temp as error:
            if not str(error).startswith("425"):
                raise
            return False
        except OSError as error:
            if error.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH):
                raise
            return False
        return True

    def _fetch(self, session):
        digest = hashlib.sha256()

        def take(data):
            digest.update(data)
            time.sleep(len(data) / (16 * RATE))

        session.retrbinary("RETR file", take, blocksize=8192)
        if digest.hexdigest() != self._digest:
            raise ValueError("the file differs")

    def finish(self):
        self._over.set()
        self.join(PATIENCE)
        return self.trouble or ("" if self.files else "no file came")


class Restart(case.Case):
    @case.vipgate_only
    def test_fault_5_flows_outlive_kills_and_ends(self):
        with Lab() as lab:
            servers.web(lab)
            servers.ftp(lab)
            servers.echo(lab)
            lab.hosts[CLIENT] = lab.client
            servers.web(lab, CLIENT, 80)
            digest = files.write_random(lab.path("www/file"), SIZE)
            ftp_digest = files.write_random(lab.path("ftp/file"), 300_000)
            for folder in ("got", "www/up"):
                os.makedirs(lab.path(folder))
            with self.gateway(lab, settings(workers=2)) as gateway:
                self.restart_under(lab, gateway, digest, ftp_digest)

    def restart_under(self, lab, gateway, digest, ftp_digest):
        def download(name, count, url):
            return [f'url = "{url}/file?rate={RATE}"\noutput = "{lab.path(f"got/{name}{index}")}"' for index in range(count)]

        def upload(count):
            path = lab.path("www/file")
            return [f'url = "http://{VIP}/up/{index}"\nupload-file = "{path}"\nlimit-rate = {RATE}' for index in range(count)]

        transfers = [
            Curl(lab.client, lab, "masquerade", download("m", DOWNLOADS, f"http://{VIP}")),
            Curl(lab.client, lab, "preserve", download("p", PRESERVED, f"http://{VIP}:81")),
            Curl(lab.client, lab, "uploads", upload(UPLOADS)),
            Curl(lab.hosts[HOST4], lab, "egress", download("e", EGRESS, f"http://{CLIENT}")),
        ]
        sessions = [Session(lab.client, ftp_digest) for _ in range(SESSIONS)]
        datagrams = Datagrams(lab.client)
        time.sleep(1.5)  # all have begun
        adopted, pauses = self.restart_often(gateway, lambda: all(one.running() for one in transfers))
        ended = [f"{one.name} ended: {one.finish()}" for one in transfers if not one.running()]
        self.assertGreaterEqual(len(adopted), RESTARTS // 2, ended)
        trouble = [what for what in (one.finish() for one in (*transfers, *sessions)) if what]
        silent = datagrams.finish()
        self.assertEqual(trouble, [])
        self.assertEqual(silent, [], "sockets whose datagrams do not come back")
        got = [*(f"got/{name}" for name in os.listdir(lab.path("got"))), *(f"www/up/{name}" for name in os.listdir(lab.path("www/up")))]
        self.assertEqual(len(got), DOWNLOADS + PRESERVED + UPLOADS + EGRESS)
        self.assertEqual([name for name in got if files.sha256_at(lab.path(name)) != digest], [], "transfers that differ")
        self.assertNotIn("broken", gateway.log())
        self.assertGreaterEqual(min(adopted), len(got))
        print(f"{len(adopted)} restarts, {len(got)} transfers, {sum(one.files for one in sessions)} files by FTP; "
              f"{min(adopted)} to {max(adopted)} flows taken over; until ready {min(pauses):.2f} to {max(pauses):.2f} s; "
              f"{datagrams.sent - datagrams.received} of {datagrams.sent} datagrams lost ", end="", file=sys.stderr, flush=True)

    @case.vipgate_only
    def test_fault_4_state_folder_too_small_or_read_only(self):
        """It is said at the start, with the remedy, and nothing is left of the attempt."""
        with Lab() as lab:
            before = kernel.snapshot(lab.gateway)
            for options, why in (("size=1m", "has no room for 262144 flows.*Lower.*max"), ("ro", "Read-only file system.*flows.state_dir|"
                                 "flows.state_dir.*Read-only file system")):
                with self.subTest(mount=options):
                    done = lab.gateway.run(*with_state_on_tmpfs(lab, options), check=False)
                    self.assertEqual(done.returncode, 1)
                    self.assertRegex(done.stderr, f"error: .*({why})")
                    self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "", "left in the kernel")

    @case.vipgate_only
    def test_fault_4_state_folder_that_gets_full(self):
        """What flows need was reserved: forwarding goes on."""
        with Lab() as lab:
            servers.web(lab)
            with open(lab.path("log"), "wb") as log:
                gateway = lab.gateway.start(*with_state_on_tmpfs(lab, "size=64m"), stderr=log)
            until("the gateway", lambda: "ready" in said(lab))
            with self.assertRaises(OSError) as full, open(f"/proc/{gateway.pid}/root{lab.path('state')}/more", "wb", 0) as more:
                while True:
                    more.write(bytes(1 << 16))
            self.assertEqual(full.exception.errno, errno.ENOSPC)
            self.assertEqual(clients.connect_often(lab.client, VIP, 80, case.scaled(2000), MASQUERADE), "")
            self.assertEqual(stop(gateway), 0)

    @case.vipgate_only
    def test_a_million_flows(self):
        """How long it takes from the start of the program to the first packet that it forwards, with so many flows to take over."""
        fill = os.environ.get("FILL_FLOWS", os.path.join(REPOSITORY, "build/release/tests/netns/fill_flows"))
        if not os.access(fill, os.X_OK):
            self.skipTest(f"needs {fill}")
        offered = [config.service("echo", 7, HOST4, protocol="udp", source="preserve")]
        with Lab() as lab:
            servers.echo(lab)
            wanted = {**config.configuration(offered=offered, workers=2), "flows": {"max": 1 << 20}}
            with self.gateway(lab, wanted) as gateway:
                for _ in range(3):
                    gateway.kill()
                    lab.gateway.run(fill, gateway.config_path, case.scaled(1_000_000))
                    probe = Probe(lab.client)
                    began = time.monotonic()
                    gateway.start()
                    first = probe.finish() - began
                    took_over, took = re.findall(r"took over (\d+) flows .* in (\d+) ms", gateway.log())[-1]
                    self.assertGreaterEqual(int(took_over), case.scaled(1_000_000))
                    self.assertLess(first, 10)
                    print(f"{took_over} flows taken over in {took} ms, first packet after {1000 * first:.0f} ms ",
                          end="", file=sys.stderr, flush=True)

    def restart_often(self, gateway, going):
        """Kills the gateway, or ends it in order, at random moments, while `going()`. Returns how many flows each start took over, and
        how long it took."""
        adopted, pauses = [], []
        for index in range(RESTARTS):
            time.sleep(random.uniform(0, 2 * MEAN_PAUSE))
            if not going():
                break
            said = len(gateway.log())
            if index % 5 == 4:
                gateway.stop()
            else:
                gateway.kill()
            gateway.write(settings(workers=random.choice([1, 2, 3, 4])))
            began = time.monotonic()
            gateway.start()
            pauses.append(time.monotonic() - began)
            adopted.append(int(re.search(r"took over (\d+) flows", gateway.log()[said:])[1]))
        return adopted, pauses


if __name__ == "__main__":
    case.main()
