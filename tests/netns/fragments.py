#!/usr/bin/python3
"""Datagrams in fragments, both ways: every size by content, many at once, awkward ones made by hand, and floods of them."""

import concurrent.futures
import contextlib
import hashlib
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import capture, case, clients, config, files, packet, servers
from lab.lab import HOSTS, VIP, Lab
from lab.raw_pair import RAW_CLIENT, RAW_PORT, RawPair
from lab.waiting import until

ECHO = HOSTS["host4"]
LARGEST = 65507  # bytes of UDP payload
LIFETIME = 30  # seconds until fragments are given up
FLOODER = "198.51.100.99"
FLOOD = 10_000  # fragments at least: sixty times as many as may wait
_SO_RCVBUFFORCE = 33


def links(client, private):
    """A server function that gives the client's link and that of the echo server's host these MTUs. Datagrams may be cut anywhere."""

    def set_up(lab):
        lab.gateway.ip(f"link set public mtu {client}", f"link set host4 mtu {private}", f"link set private mtu {private}")
        lab.client.ip(f"link set eth0 mtu {client}")
        lab.hosts[ECHO].ip(f"link set eth0 mtu {private}")
        for namespace in (lab.client, lab.hosts[ECHO]):
            namespace.sysctl("net/ipv4/ip_no_pmtu_disc", 1)
            # Else 64 fragments of others between two of a datagram end it, which a worker that is kept waiting is enough for.
            namespace.sysctl("net/ipv4/ipfrag_max_dist", 0)

    return set_up


def udp_socket(namespace):
    with namespace.entered():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)  # for bursts of large datagrams
    one.settimeout(5)
    return one


@contextlib.contextmanager
def roomy_echo(lab):
    """An echo server, as servers.echo, that loses nothing when much comes at once."""
    with udp_socket(lab.hosts[ECHO]) as server:
        server.bind((ECHO, 7))
        server.settimeout(0.1)
        over = threading.Event()

        def serve():
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    data, peer = server.recvfrom(65535)
                    server.sendto(data, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def talk(client, sizes, tries=1):
    """Sends datagrams of these sizes, each when the one before has come back. Returns the sizes of those that came back wrong.

    The socket is not connected: Linux numbers the datagrams of each connected socket on their own, so that two sockets of a
    host can use one identification at the same time. Their fragments cannot be told apart.
    """
    return [size for size in sizes if not any(comes_back(client, os.urandom(size)) for _ in range(tries))]


def comes_back(client, sent):
    client.sendto(sent, (VIP, 7))
    with contextlib.suppress(TimeoutError):
        while hashlib.sha256(client.recv(65535)).digest() != hashlib.sha256(sent).digest():  # an earlier one, late
            pass
        return True
    return False


def resident(process):
    """Memory of a process, in KiB."""
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def cut(data, identification, size):
    """A packet in fragments whose payloads have `size` bytes, a multiple of 8."""
    length = len(data) - packet.header_length(data)
    begins = range(0, length, size)
    return [packet.piece(data, at, at + size if at + size < length else None, identification) for at in begins]


@contextlib.contextmanager
def flood(lab, sources):
    """Fragments of datagrams that never become whole, from these addresses, as many as leave others time. Yields [their number]."""
    over = threading.Event()
    count = [0]
    # All that a thread does while others wait for Python's lock is to send, so the packets are made beforehand.
    ready = []
    for index in range(20_000):
        source = (sources[index % len(sources)], 4000)
        whole = packet.ipv4(source[0], VIP, packet.UDP, b"\x0f\xa0\x00\x07" + bytes(2956))
        begin = random.choice((0, 1480))
        ready.append(packet.piece(whole, begin, begin + 1480, random.randrange(1 << 16)))
    with lab.gateway.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as probe:
        probe.bind(("public", 0))
        gateway = probe.getsockname()[4]

    def send():
        with capture.packet_socket(lab.client, "eth0") as raw:
            while not over.is_set():
                for data in ready:
                    with contextlib.suppress(BlockingIOError):
                        capture.inject(raw, "eth0", data, gateway)
                    count[0] += 1
                    if count[0] % 64 == 0 and over.wait(0.002):
                        break

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


class Fragments(case.Case):
    def exercise(self, client=1500, private=900, **options):
        step = 97 if float(os.environ.get("LAB_SCALE", "1")) >= 1 else 3989
        sizes = sorted({*range(1, 60_001, step), LARGEST, *(
            count * mtu // 8 * 8 + more for count in (1, 2, 7) for mtu in (client - 20, private - 20) for more in range(-9, 2))})
        with self.network(links(client, private), **options) as lab, roomy_echo(lab), udp_socket(lab.client) as socket_:
            self.assertEqual(talk(socket_, sizes), [], "sizes that came back wrong, or not at all")

    def test_every_size_masquerade(self):
        self.exercise()

    def test_every_size_preserve(self):
        self.exercise(source="preserve")

    def test_every_size_two_workers(self):
        self.exercise(workers=2)

    def test_every_size_preserve_two_workers_without_offload(self):
        self.exercise(source="preserve", workers=2, offload=False)

    def test_smaller_pieces_from_the_client(self):
        self.exercise(client=600, private=1400)

    def test_smaller_pieces_from_the_client_preserve(self):
        self.exercise(client=600, private=1400, source="preserve", workers=2)

    def test_many_at_once(self):
        """Sockets of one client, none waiting for another."""
        for workers, source in ((1, "masquerade"), (2, "preserve")):
            with self.subTest(workers=workers, source=source), contextlib.ExitStack() as stack:
                lab = stack.enter_context(self.network(links(1500, 900), workers=workers, source=source))
                stack.enter_context(roomy_echo(lab))
                # No more at a time than the kernel's queues hold: 500 packets before the TUN, 1000 behind a network card.
                sockets = [stack.enter_context(udp_socket(lab.client)) for _ in range(12)]
                sizes = [[random.randrange(1, 15_000) for _ in range(case.scaled(200))] for _ in sockets]
                with concurrent.futures.ThreadPoolExecutor(len(sockets)) as pool:
                    wrong = list(pool.map(talk, sockets, sizes))
                self.assertEqual(wrong, [[]] * len(sockets))

    def test_no_larger_than_they_came(self):
        for source in ("masquerade", "preserve"):
            arrived = []
            with self.subTest(source=source), self.network(links(600, 1500), source=source) as lab:
                with roomy_echo(lab), udp_socket(lab.client) as client:
                    with capture.Capture(lab.hosts[ECHO], "eth0", arrived.append, outgoing=False):
                        self.assertEqual(talk(client, (1000, 5000, LARGEST)), [])
                fragments = [seen for seen in arrived if packet.is_fragment(seen.data)]
                self.assertEqual([packet.fault(seen.data, seen.partial) for seen in fragments if packet.fault(seen.data)], [])
                self.assertGreater(len(fragments), LARGEST // 600)
                self.assertLessEqual(max(len(seen.data) for seen in fragments), 600)

    def test_ping(self):
        with self.network() as lab:
            for size in (1473, 4000, 60_000, LARGEST):
                with self.subTest(size=size):
                    lab.client.run("ping", "-q", "-c", 3, "-i", "0.05", "-W", 2, "-s", size, VIP)

    def raw(self, **options):
        """A lab with both ends played by hand, and a datagram of a client's port to the raw service."""
        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, [min(processors)])  # one keeps the packets in order
        self.addCleanup(os.sched_setaffinity, 0, processors)
        lab = self.enterContext(self.network(**options))
        pair = self.enterContext(RawPair(lab, VIP))

        def datagram(payload, port=4000):
            return packet.udp((RAW_CLIENT, port), (VIP, RAW_PORT), payload)

        return pair, datagram

    def payloads(self, came):
        """What a side got, in order; neither side may get anything else than UDP."""
        self.assertEqual({data[9] for data in came} - {packet.UDP}, set())
        return [packet.parse(data).payload for data in came]

    def test_rfc4787_req14_any_order(self):
        pair, datagram = self.raw()
        for identification in range(1, 60):
            payload = os.urandom(random.randrange(600, 9000))
            pieces = cut(datagram(payload), identification, random.randrange(8, 1480, 8) if len(payload) < 1000 else 1480)
            random.shuffle(pieces)
            again = pieces[:-1] * random.choice((0, 1))
            at_client, at_server = pair.from_client(*again, *pieces)
            self.assertEqual((at_client, self.payloads(at_server)), ([], [payload]))

    @case.vipgate_only  # Linux gives up a datagram when 64 others of its source come in between (ipfrag_max_dist)
    def test_interleaved(self):
        pair, datagram = self.raw()
        payloads = [os.urandom(random.randrange(600, 3000)) for _ in range(100)]  # fewer fragments than the TUN's queue holds, 500
        pieces = [one for number, payload in enumerate(payloads) for one in cut(datagram(payload, 4000 + number % 7), number + 1, 480)]
        random.shuffle(pieces)
        at_client, at_server = pair.from_client(*pieces)
        self.assertEqual(at_client, [])
        self.assertTrue(sorted(self.payloads(at_server)) == sorted(payloads), "datagrams that are missing or wrong")

    @case.vipgate_only
    def test_fault12_awkward_ones_are_discarded(self):
        pair, datagram = self.raw()
        payload = os.urandom(2992)  # 3000 bytes behind the IP header
        whole = datagram(payload)

        def piece(begin, end, identification):
            return packet.piece(whole, begin, end, identification)

        beyond = packet.ipv4(RAW_CLIENT, VIP, packet.UDP, bytes(1480), identification=40, fragment=65528 // 8)
        empty = packet.ipv4(RAW_CLIENT, VIP, packet.UDP, b"", identification=50, fragment=packet.MORE_FRAGMENTS | 100)
        shorter = whole[:-8]
        sets = {
            "overlap": [piece(0, 1480, 10), piece(1472, 2000, 10), piece(1480, 2000, 10), piece(2000, None, 10)],
            "overlap_in_front": [piece(1000, 2000, 11), piece(0, 1008, 11), piece(0, 1000, 11), piece(2000, None, 11)],
            "within": [piece(0, 1480, 12), piece(8, 800, 12), piece(1480, 2000, 12), piece(2000, None, 12)],
            "two_ends": [piece(2000, None, 13), packet.piece(shorter, 2000, None, 13), piece(0, 1480, 13), piece(1480, 2000, 13)],
            "behind_the_end": [packet.piece(shorter, 2000, None, 14), piece(2992, None, 14), piece(0, 1480, 14), piece(1480, 2000, 14)],
            "beyond_the_largest": [piece(0, 1480, 40), beyond, piece(1480, 2000, 40), piece(2000, None, 40)],
            "empty": [empty],
        }
        for identification, (name, pieces) in enumerate(sets.items(), 1000):
            with self.subTest(name):
                self.assertEqual(pair.from_client(*pieces), ([], []))
                _, at_server = pair.from_client(*cut(whole, identification, 1480))
                self.assertEqual(self.payloads(at_server), [payload], "the next datagram passes")

    @case.vipgate_only
    def test_the_sender_is_told_after_half_a_minute(self):
        pair, datagram = self.raw()
        first, _, last = cut(datagram(os.urandom(3000)), 1, 1480)
        _, alone, _ = cut(datagram(os.urandom(3000), 4001), 2, 1480)
        began = time.monotonic()
        self.assertEqual(pair.from_client(first, last, alone), ([], []))

        def look():
            came = pair.from_client()
            return came if any(came) else None

        at_client, at_server = until("fragments that are given up", look)
        self.assertGreaterEqual(time.monotonic() - began, LIFETIME)
        self.assertEqual(at_server, [])
        self.assertEqual([packet.parse(data).icmp[:2] for data in at_client], [(11, 1)], "of the one whose beginning came")
        quoted = packet.parse(at_client[0]).payload
        self.assertEqual(quoted[20:], first[20:len(quoted)])

    def downloads_during(self, sources):
        """A download by hash and, where nobody shares their source, datagrams in fragments, while others flood. The gateway's memory."""
        with contextlib.ExitStack() as stack:
            lab = stack.enter_context(Lab())
            servers.web(lab)
            links(1500, 1500)(lab)
            stack.enter_context(roomy_echo(lab))
            gateway = stack.enter_context(self.gateway(lab, config.configuration()))
            client = stack.enter_context(udp_socket(lab.client))
            digest = files.write_random(f"{lab.path('www')}/file", case.scaled(64 << 20))
            self.assertEqual(talk(client, (30_000,)), [])
            before = resident(gateway.process)
            with flood(lab, sources) as count:
                time.sleep(0.5)
                downloads = 0
                while downloads < 3 or count[0] < FLOOD:
                    self.assertEqual(clients.download(lab.client, f"http://{VIP}/file"), digest, "the download differs")
                    downloads += 1
                # Where the machine has no time for the gateway, the TUN's queue loses datagrams: so they get more than one chance.
                self.assertEqual(talk(client, range(1, 1400, 50), tries=5), [], "sizes of whole datagrams that suffered")
                wrong = talk(client, range(2000, 60_000, 2000), tries=5)
                grown = resident(gateway.process) - before
        return wrong, grown

    @case.vipgate_only
    def test_fault13_flood_of_one_source(self):
        wrong, grown = self.downloads_during([FLOODER])
        self.assertEqual(wrong, [], "sizes of others' datagrams in fragments that suffered")
        self.assertLess(grown, 32 << 10)

    @case.vipgate_only
    def test_fault13_flood_of_many_sources(self):
        _, grown = self.downloads_during([f"198.51.100.{last}" for last in range(100, 250)])
        self.assertLess(grown, 32 << 10)


if __name__ == "__main__":
    case.main()
