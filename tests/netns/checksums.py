#!/usr/bin/python3
"""Every packet that leaves the gateway is right, whoever filled in its checksum; seen on the far side, packet by packet.

A card's offload hides a wrong partial checksum, so it is switched off: at the ends, so that complete checksums reach the gateway, and
at the gateway's own cards, so that the kernel completes what the gateway left partial before it can be seen.
"""

import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import capture, case, clients, files, packet, servers
from lab.lab import CLIENT, HOSTS, VIP

SIZE = 16 << 20
DATAGRAMS = range(1, 1473, 7)
WEB, ECHO = HOSTS["host2"], HOSTS["host4"]


def traffic(lab):
    """A download, an upload, datagrams and pings. Returns the hashes of what was sent and of what came, both ways."""
    original = files.write_random(f"{lab.path('www')}/file", case.scaled(SIZE))
    fetched = clients.download(lab.client, f"http://{VIP}/file")
    clients.upload(lab.client, f"{lab.path('www')}/file", f"http://{VIP}/sent")
    clients.echo(lab.client, VIP, 7, DATAGRAMS)
    lab.client.run("ping", "-q", "-c", 20, "-i", "0.01", VIP)
    return [original] * 2, [fetched, files.sha256_at(f"{lab.path('www')}/sent")]


class Checksums(case.Case):
    def verify(self, ends, cards, **options):
        with contextlib.ExitStack() as stack:
            lab = stack.enter_context(self.network(servers.web, servers.echo, **options))
            lab.end_offload(ends)
            lab.gateway_offload(cards)
            sinks = {address: capture.Sink(lab.hosts[address]) for address in (WEB, ECHO)}
            sinks[CLIENT] = capture.Sink(lab.client)
            with contextlib.ExitStack() as capturing:
                for sink in sinks.values():
                    capturing.enter_context(sink)
                sent, came = traffic(lab)
            self.assertEqual(came, sent)
            expected = {WEB: case.scaled(SIZE) >> 16, ECHO: len(DATAGRAMS), CLIENT: len(DATAGRAMS)}  # packets, at the least
            for address, sink in sinks.items():
                self.assertEqual((sink.wrong[:5], sink.lost), ([], 0), address)
                self.assertGreaterEqual(sink.packets, expected[address], address)
                if not cards:
                    self.assertEqual(sink.partial, 0, address)

    def test_ends_off(self):
        self.verify(ends=False, cards=True)

    def test_ends_off_without_tun_offload(self):
        self.verify(ends=False, cards=True, offload=False)

    def test_cards_off(self):
        self.verify(ends=True, cards=False)

    def test_cards_off_preserve_two_workers(self):
        self.verify(ends=True, cards=False, source="preserve", workers=2)

    def test_all_off(self):
        self.verify(ends=False, cards=False)

    def test_all_on(self):
        self.verify(ends=True, cards=True)

    def test_the_sink_sees_a_wrong_checksum(self):
        good = packet.udp((VIP, 7), (CLIENT, 4000), b"payload")
        with self.network() as lab, capture.Sink(lab.client) as sink:
            with capture.packet_socket(lab.gateway, "public") as raw:
                for data in (good, good[:-1] + b"x"):
                    capture.inject(raw, "public", data)
        self.assertEqual((sink.packets, len(sink.wrong)), (2, 1))


if __name__ == "__main__":
    case.main()
