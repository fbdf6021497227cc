#!/usr/bin/python3
"""Only what is served can be reached, and a packet of no flow does not go round in circles."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import capture, case, packet, servers
from lab.lab import CLIENT, HOSTS, VIP

BACKEND = HOSTS["host2"]
DIRECT = ("curl", "-sS", "-m", 3, f"http://{BACKEND}:8080/")


def send_raw(namespace, data):
    """Sends a whole IPv4 packet the way the namespace's routes say."""
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(data, (packet.parse(data).destination[0], 0))


class Guard(case.Case):
    def test_backend_is_out_of_reach(self):
        for source in ("masquerade", "preserve"):
            with self.subTest(source=source), self.network(servers.web, source=source) as lab:
                self.assertIn("greets", lab.client.run("curl", "-sS", f"http://{VIP}/").stdout)
                self.assertNotEqual(lab.client.run(*DIRECT, check=False).returncode, 0)
                self.assertNotEqual(lab.client.run("ping", "-c", 1, "-W", 1, BACKEND, check=False).returncode, 0)

    def test_backend_is_in_reach_without_guard(self):
        with self.network(servers.web, guard=False) as lab:
            self.assertIn("greets", lab.client.run(*DIRECT).stdout)

    @case.vipgate_only
    def test_unsolicited_segment_does_not_loop(self):
        """A segment of no flow from a preserve backend passes: into the TUN once, out of it once."""
        segment = packet.tcp((BACKEND, 8080), (CLIENT, 4000), "A", seq=1, ack=1)
        self.assertEqual(self.sightings(segment, BACKEND), (2, [62]))

    @case.vipgate_only
    def test_unused_address_does_not_loop(self):
        segment = packet.tcp((CLIENT, 4000), ("203.0.113.12", 80), "S")
        self.assertEqual(self.sightings(segment, CLIENT), (1, []))

    def sightings(self, segment, sender):
        """How often the TUN sees a packet, and the TTLs it has where it arrives."""
        on_tun, at_client = [], []
        ends = packet.parse(segment).source, packet.parse(segment).destination

        def note(seen, where):
            found = packet.parse(seen.data)
            if (found.source, found.destination) == ends:
                where.append(found.ttl)

        with self.network(source="preserve") as lab:
            with capture.Capture(lab.gateway, "tun0", lambda seen: note(seen, on_tun)), \
                    capture.Capture(lab.client, "eth0", lambda seen: note(seen, at_client), outgoing=False):
                send_raw({CLIENT: lab.client, **lab.hosts}[sender], segment)
                lab.client.run("ping", "-c", 3, "-i", "0.1", VIP)
        return len(on_tun), at_client


if __name__ == "__main__":
    case.main()
