#!/usr/bin/python3
"""traceroute to a VIP, through one to the server, and from a private host to the outside: who says that a probe ended there.

    client ── router ── router ── gateway ── router ── router ── server
"""

import contextlib
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, servers
from lab.lab import CLIENT, GATEWAY_PRIVATE, GATEWAY_PUBLIC, HOSTS, VIP, Lab

case.PROGRAMS = (*case.PROGRAMS, "traceroute")
CLIENT_AWAY, SERVER_AWAY = "192.0.2.7", "10.1.0.2"
GONE = "10.0.0.99"
TO_GATEWAY = ["192.0.2.1", "172.31.1.1", GATEWAY_PUBLIC]
GATEWAY = (GATEWAY_PUBLIC, GATEWAY_PRIVATE)  # it speaks with either to private hosts
WAYS = {"udp": (), "icmp": ("-I",), "tcp": ("-T", "-p", 9)}


def trace(namespace, destination, *options):
    """What traceroute says of each hop's probes, without times and repetitions: addresses, "*" for none, "!H" for host unreachable."""
    done = namespace.run("traceroute", "-n", "-m", 12, "-w", 1.5, *options, destination)
    return [" ".join(dict.fromkeys(re.findall(r"\d+\.\d+\.\d+\.\d+|\*|!\S+", hop))) for hop in done.stdout.splitlines()[1:]]


class Traceroute(case.Case):
    @contextlib.contextmanager
    def path(self, egress=(), **options):
        """A lab whose client and server are far away; what the gateway serves is there."""
        offered = [config.service("web", 80, SERVER_AWAY, 8080), config.service("echo", 7, SERVER_AWAY, protocol="udp"),
                   config.service("gone", 81, GONE, protocol=["tcp", "udp"])]
        settings = config.configuration(offered=offered, **options)
        if egress:
            settings["egress"] = list(egress)
        with Lab() as lab:
            self.client, client_router = lab.beyond(lab.client, CLIENT_AWAY, "172.31.1")
            near_server = lab.hosts[HOSTS["host3"]]
            self.server, server_router = lab.beyond(near_server, SERVER_AWAY, "172.31.2")
            for namespace in (self.client, client_router, lab.client, lab.gateway, near_server, server_router, self.server):
                namespace.sysctl("net/ipv4/icmp_ratelimit", 0)
            servers.web(lab, SERVER_AWAY)
            servers.echo(lab, SERVER_AWAY)
            with self.gateway(lab, settings):
                yield lab

    def every_way(self, check):
        for source in ("masquerade", "preserve"):
            for workers in (1, 2):
                with self.subTest(source=source, workers=workers), self.path(source=source, workers=workers):
                    check()

    @case.vipgate_only
    def test_ends_at_the_vip(self):
        """What nobody serves, and ping: the VIP itself answers."""

        def check():
            for way, options in WAYS.items():
                self.assertEqual(trace(self.client, VIP, *options), [*TO_GATEWAY, VIP], way)

        self.every_way(check)

    @case.vipgate_only
    def test_rfc5508_req5_ends_behind_the_vip(self):
        """What the gateway and routers behind it say comes from the VIP; so does the server's answer."""
        behind = ["the gateway, as it sends on", "router", "router", "server"]

        def check():
            self.assertEqual(trace(self.client, VIP, "-T", "-p", 80), [*TO_GATEWAY, *(VIP for _ in behind)], "TCP")
            self.assertEqual(trace(self.client, VIP, "-U", "-p", 7), [*TO_GATEWAY, *(VIP for _ in behind)], "UDP")

        self.every_way(check)

    @case.vipgate_only
    def test_rfc5382_req9_rfc5508_req5_server_is_gone(self):
        """The gateway's kernel finds no such host in its own network, and the client is told so by the VIP."""
        for source in ("masquerade", "preserve"):
            with self.subTest(source=source), self.path(source=source):
                for way in ("-T", "-U"):
                    self.assertEqual(trace(self.client, VIP, way, "-p", 81, "-f", 5, "-w", 20, "-q", 1), [f"{VIP} !H"], way)

    @case.vipgate_only
    def test_ends_at_a_vip_that_gives_out_ports(self):
        with self.path(egress=[{"from": "10.1.0.0/24", "as": VIP}]):
            for way, options in WAYS.items():
                self.assertEqual(trace(self.client, VIP, *options), [*TO_GATEWAY, VIP], way)

    @case.vipgate_only
    def test_rfc5508_req4_from_a_private_host(self):
        """Routers outside are seen as they are."""
        hops = ["10.1.0.1", "172.31.2.1", "gateway", "gateway, as it sends on", CLIENT, "172.31.1.2", CLIENT_AWAY]
        for workers in (1, 2):
            with self.subTest(workers=workers), self.path(egress=[{"from": "10.1.0.0/24", "as": VIP}], workers=workers):
                for way, options in WAYS.items():
                    seen = trace(self.server, CLIENT_AWAY, *options)
                    for number in (2, 3):
                        self.assertIn(seen[number], GATEWAY, (way, seen))
                    self.assertEqual(seen[:2] + seen[4:], hops[:2] + hops[4:], way)

    @case.vipgate_only
    def test_around_the_vip(self):
        """Between hosts that no service and no egress has, whatever the rules bring along to the TUN."""
        for source in ("masquerade", "preserve"):
            with self.subTest(source=source), self.path(source=source) as lab:
                for way in ("udp", "icmp"):
                    seen = trace(lab.hosts[HOSTS["host4"]], CLIENT_AWAY, *WAYS[way])
                    beyond = [hop for hop in seen if hop not in GATEWAY]  # it is one hop, or two where the TUN is on the way
                    self.assertEqual(beyond, [CLIENT, "172.31.1.2", CLIENT_AWAY], (way, seen))
                    seen = trace(self.client, HOSTS["host4"], *WAYS[way])
                    self.assertEqual(seen, [*TO_GATEWAY, HOSTS["host4"]], way)


if __name__ == "__main__":
    case.main()
