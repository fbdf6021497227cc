#!/usr/bin/python3
"""A link on the way that carries less: path MTU discovery through a VIP, both ways, and the segment size that makes it needless.

The narrow link lies between two routers that neither end sees, or directly at the gateway:

    client ── router ── narrow ── router ── gateway ── router ── narrow ── router ── server
"""

import contextlib
import errno
import os
import re
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, clients, config, files, packet, servers
from lab.lab import CLIENT, GATEWAY_PUBLIC, HOSTS, MASQUERADE, VIP, Lab
from lab.namespace import LabError

NARROW = 1400
CLIENT_AWAY, SERVER_AWAY = "192.0.2.7", "10.1.0.2"
CLIENT_GATEWAY = "192.0.2.1"
CLIENT_LINK, SERVER_LINK = "172.31.1", "172.31.2"  # between the routers
SERVER_ROUTER = HOSTS["host3"]
SIZE = 8 << 20
PATIENCE = 10  # seconds for a transfer: a sender that is not told hangs
URL = f"http://{VIP}"
_IP_MTU_DISCOVER, _IP_PMTUDISC_DONT, _IP_PMTUDISC_DO, _IP_MTU = 10, 0, 2, 14
_SOL_RAW, _ICMP_FILTER, _UNREACHABLE, _FRAG_NEEDED = 255, 1, 3, 4


class Network(Lab):
    """A lab with a client and a server far away."""

    def __init__(self, client_link=1500, server_link=1500):
        self._links = client_link, server_link

    def _build(self):
        super()._build()
        self.far_client, self.client_router = self.beyond(self.client, CLIENT_AWAY, CLIENT_LINK, self._links[0])
        self.server, self.server_router = self.beyond(self.hosts[SERVER_ROUTER], SERVER_AWAY, SERVER_LINK, self._links[1])
        for end in (self.far_client, self.server):
            end.sysctl("net/ipv4/tcp_mtu_probing", 0)  # nothing but ICMP says how much the path carries
            end.sysctl("net/ipv4/ip_no_pmtu_disc", 0)
        servers.web(self, SERVER_AWAY)

    def mute_routers(self):
        """Nobody says any more what is too large."""
        for router in (self.client, self.client_router, self.hosts[SERVER_ROUTER], self.server_router):
            router.run("nft", "add table ip mute; add chain ip mute output { type filter hook output priority filter; }; "
                              "add rule ip mute output icmp type destination-unreachable drop")

    def narrow_at_gateway(self, device, neighbour):
        """The narrow link is the gateway's own."""
        self.gateway.ip(f"link set {device} mtu {NARROW}")
        neighbour.ip(f"link set eth0 mtu {NARROW}")


class Complaints:
    """Every "fragmentation needed" that comes to a host while the `with` block lasts: (router, MTU, source and destination of what it
    quotes)."""

    def __init__(self, namespace):
        with namespace.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
        self._socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", ~(1 << _UNREACHABLE) & 0xFFFFFFFF))
        self.seen = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BlockingIOError):
            while True:
                error = packet.parse(self._socket.recv(65535))
                if error.icmp[1] == _FRAG_NEEDED:
                    addresses = (socket.inet_ntoa(error.payload[at:at + 4]) for at in (12, 16))
                    self.seen.add((error.source[0], error.icmp[2] & 0xFFFF, *addresses))
        self._socket.close()


def path_mtu(namespace, destination):
    """What a host has learned of the way to a destination, or None."""
    learned = re.search(r"\bmtu (\d+)", namespace.run("ip", "route", "get", destination).stdout)
    return int(learned[1]) if learned else None


def udp_socket(namespace, discover, address="", port=0):
    with namespace.entered():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, discover)
    one.settimeout(3)
    one.bind((address, port))
    return one


class PathMtu(case.Case):
    @contextlib.contextmanager
    def path(self, client_link=1500, server_link=1500, prepare=None, tun=None, **options):
        """A lab whose client and server are far away; what the gateway serves is there. `tun`: more of the TUN's keys."""
        service_keys = {key: options.pop(key) for key in ("mss",) if key in options}
        offered = [config.service("web", 80, SERVER_AWAY, 8080, **service_keys),
                   config.service("echo", 7, SERVER_AWAY, protocol="udp")]
        settings = config.configuration(offered=offered, **options)
        settings["tun"].update(tun or {})
        with Network(client_link, server_link) as lab:
            if prepare:
                prepare(lab)
            with self.gateway(lab, settings):
                yield lab

    def download(self, lab):
        """By hash. What either end was told on the way."""
        digest = files.write_random(f"{lab.path('www')}/file", case.scaled(SIZE))
        with Complaints(lab.far_client) as to_client, Complaints(lab.server) as to_server:
            self.assertEqual(clients.download(lab.far_client, f"{URL}/file", PATIENCE), digest, "the download differs")
        return to_client.seen, to_server.seen

    def upload(self, lab):
        """By hash. What either end was told on the way."""
        digest = files.write_random(lab.path("file"), case.scaled(SIZE))
        with Complaints(lab.far_client) as to_client, Complaints(lab.server) as to_server:
            clients.upload(lab.far_client, lab.path("file"), f"{URL}/sent", PATIENCE)
        self.assertEqual(files.sha256_at(f"{lab.path('www')}/sent"), digest, "the upload differs")
        return to_client.seen, to_server.seen

    def every_way(self, check, **path):
        """Every two of source, workers and offload together."""
        seen_as = {"masquerade": MASQUERADE, "preserve": CLIENT_AWAY}
        ways = ("masquerade", 1, True), ("masquerade", 2, False), ("preserve", 2, True), ("preserve", 1, False)
        for source, workers, offload in ways:
            with self.subTest(source=source, workers=workers, offload=offload):
                with self.path(source=source, workers=workers, offload=offload, **path) as lab:
                    self.assertEqual((path_mtu(lab.far_client, VIP), path_mtu(lab.server, seen_as[source])), (None, None))
                    check(lab, seen_as[source])

    def test_rfc1191_rfc5508_req4_narrow_on_the_clients_side(self):
        """The server is told through the gateway: by whom it masquerades as, or by the router where it knows the client."""

        def check(lab, seen_client):
            _, to_server = self.download(lab)
            router = CLIENT if seen_client == CLIENT_AWAY else MASQUERADE
            self.assertEqual(to_server, {(router, NARROW, SERVER_AWAY, seen_client)})
            self.assertEqual(path_mtu(lab.server, seen_client), NARROW)
            self.upload(lab)

        self.every_way(check, client_link=NARROW)

    def test_rfc1191_rfc5508_req5_narrow_on_the_servers_side(self):
        """The client is told by the VIP, and sees no private address."""

        def check(lab, _):
            to_client, _ = self.upload(lab)
            self.assertEqual(to_client, {(VIP, NARROW, CLIENT_AWAY, VIP)})
            self.assertEqual(path_mtu(lab.far_client, VIP), NARROW)
            self.download(lab)

        self.every_way(check, server_link=NARROW)

    def test_rfc4787_req13_narrow_at_the_gateway_on_the_clients_side(self):
        def check(lab, seen_client):
            _, to_server = self.download(lab)
            self.assertEqual({(mtu, *quoted) for _, mtu, *quoted in to_server}, {(NARROW, SERVER_AWAY, seen_client)})
            self.assertEqual(path_mtu(lab.server, seen_client), NARROW)
            self.upload(lab)

        self.every_way(check, prepare=lambda lab: lab.narrow_at_gateway("public", lab.client))

    def test_rfc4787_req13_narrow_at_the_gateway_on_the_servers_side(self):
        def check(lab, _):
            to_client, _ = self.upload(lab)
            self.assertEqual(to_client, {(VIP, NARROW, CLIENT_AWAY, VIP)})
            self.assertEqual(path_mtu(lab.far_client, VIP), NARROW)
            self.download(lab)

        self.every_way(check, prepare=lambda lab: lab.narrow_at_gateway("host3", lab.hosts[SERVER_ROUTER]))

    @case.vipgate_only
    def test_narrow_tun(self):
        """What is too large for the TUN does not reach vipgate: the kernel tells the sender."""

        def check(lab, _):
            to_client, _ = self.upload(lab)
            self.assertEqual(to_client, {(GATEWAY_PUBLIC, NARROW, CLIENT_AWAY, VIP)})

        self.every_way(check, tun={"mtu": NARROW})

    def test_narrow_on_both_sides(self):
        for source in ("masquerade", "preserve"):
            with self.subTest(source=source), self.path(NARROW, 1280, source=source, workers=2) as lab:
                to_client, _ = self.upload(lab)
                self.assertEqual({(router, mtu) for router, mtu, *_ in to_client}, {(CLIENT_GATEWAY, NARROW), (VIP, 1280)})
                self.assertEqual(path_mtu(lab.far_client, VIP), 1280)
            with self.subTest(source=source), self.path(1280, NARROW, source=source, workers=2) as lab:
                _, to_server = self.download(lab)
                self.assertEqual({mtu for _, mtu, *_ in to_server}, {NARROW, 1280})
                self.assertEqual(path_mtu(lab.server, MASQUERADE if source == "masquerade" else CLIENT_AWAY), 1280)

    @case.vipgate_only
    def test_segment_size_where_nobody_tells(self):
        """Where no router says what is too large, nothing but smaller segments helps."""
        narrow = {"client_link": NARROW, "server_link": NARROW, "prepare": lambda lab: lab.mute_routers()}
        for source in ("masquerade", "preserve"):
            with self.subTest(source=source), self.path(source=source, **narrow) as lab:
                with self.assertRaises(LabError):
                    clients.upload(lab.far_client, __file__, f"{URL}/small", 2)
            for workers, offload in ((1, True), (2, False)):
                with self.subTest(source=source, workers=workers, offload=offload):
                    with self.path(source=source, workers=workers, offload=offload, mss=1300, **narrow) as lab:
                        self.assertEqual((self.download(lab), self.upload(lab)), ((set(), set()),) * 2)

    @case.vipgate_only
    def test_segment_size_needs_no_errors(self):
        with self.path(NARROW, NARROW, mss=1300) as lab:
            self.assertEqual((self.download(lab), self.upload(lab)), ((set(), set()),) * 2)
            self.assertEqual((path_mtu(lab.far_client, VIP), path_mtu(lab.server, MASQUERADE)), (None, None))

    def refused_datagram(self, sender):
        """What a connected socket may not cut, and is too large, is refused: by a router first, then by its own kernel."""
        self.assertGreater(sender.getsockopt(socket.IPPROTO_IP, _IP_MTU), NARROW)
        sender.send(bytes(NARROW - 28 + 1))
        with self.assertRaises(OSError) as told:
            sender.recv(1)
        self.assertEqual(told.exception.errno, errno.EMSGSIZE)
        self.assertEqual(sender.getsockopt(socket.IPPROTO_IP, _IP_MTU), NARROW)
        with self.assertRaises(OSError) as refused:
            sender.send(bytes(NARROW - 28 + 1))
        self.assertEqual(refused.exception.errno, errno.EMSGSIZE)

    def datagrams(self, check, discover, **path):
        """For every way of sources and workers: check(client's socket, server's socket, client's address as the server sees it)."""
        for source in ("masquerade", "preserve"):
            for workers in (1, 2):
                with self.subTest(source=source, workers=workers), self.path(source=source, workers=workers, **path) as lab:
                    with udp_socket(lab.far_client, discover) as client, udp_socket(lab.server, discover, SERVER_AWAY, 7) as server:
                        client.connect((VIP, 7))
                        client.send(b"hello")
                        peer = server.recvfrom(16)[1]
                        check(client, server, peer)

    def test_rfc4787_req13_client_may_not_cut(self):
        def check(client, server, _):
            self.refused_datagram(client)
            client.send(bytes(NARROW - 28))
            self.assertEqual(server.recv(65535), bytes(NARROW - 28))

        self.datagrams(check, _IP_PMTUDISC_DO, server_link=NARROW)

    def test_rfc4787_req13_server_may_not_cut(self):
        def check(client, server, peer):
            server.connect(peer)
            self.refused_datagram(server)
            server.send(bytes(NARROW - 28))
            self.assertEqual(client.recv(65535), bytes(NARROW - 28))

        self.datagrams(check, _IP_PMTUDISC_DO, client_link=NARROW)

    def test_rfc4787_req13_routers_may_cut(self):
        def check(client, server, peer):
            for size in (NARROW - 28, NARROW - 27, 1472, 1473, 5000, 60_000):
                payload = os.urandom(size)
                client.send(payload)
                self.assertEqual(server.recv(65535), payload)
                server.sendto(payload, peer)
                self.assertEqual(client.recv(65535), payload)

        self.datagrams(check, _IP_PMTUDISC_DONT, client_link=NARROW, server_link=1280)
        self.datagrams(check, _IP_PMTUDISC_DONT, client_link=1280, server_link=NARROW)


if __name__ == "__main__":
    case.main()
