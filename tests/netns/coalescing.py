#!/usr/bin/python3
"""Packets that came one by one leave as super-packets; whoever gets them sees what was sent, byte by byte, datagram by datagram.

A receiver's card would hide a wrong checksum, so every packet is looked at as it leaves the gateway's own card, which segments it."""

import contextlib
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import capture, case, clients, config, files, servers
from lab.lab import HOSTS, VIP, Lab

SIZE = 16 << 20
BACKEND = HOSTS["host4"]
# Bytes of datagrams, in their order: runs of one length, and what ends them.
LENGTHS = [1200] * 40 + [300] + [1200] * 10 + [0] + [1200] * 10 + [1300] * 10 + list(range(1, 60)) + [1472] * 60
PATIENCE = 10  # seconds that a datagram may take


def udp_socket(namespace, address, far=None):
    with namespace.entered():
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    end.settimeout(PATIENCE)
    end.bind((address, 7))
    if far:
        end.connect(far)
    return end


class Coalescing(case.Case):
    @contextlib.contextmanager
    def lab(self, cards, **options):
        """The ends send packets of their own size, with whole checksums. `cards`: the gateway's may hand on super-packets."""
        with Lab() as lab:
            servers.web(lab)
            with self.gateway(lab, config.configuration(**options)) as gateway:
                lab.end_offload(False)
                lab.gateway_offload(cards)
                yield lab, gateway

    def burst(self, lab, gateway):
        """Datagrams that wait in the TUN's queue until all have been sent. Returns what was sent and what came."""
        sent = [os.urandom(length) for length in LENGTHS]
        with udp_socket(lab.hosts[BACKEND], BACKEND) as server, udp_socket(lab.client, "", (VIP, 7)) as client:
            gateway.process.send_signal(signal.SIGSTOP)
            os.waitpid(gateway.process.pid, os.WUNTRACED)  # until all of its threads have stopped
            try:
                for data in sent:
                    client.send(data)
            finally:
                gateway.process.send_signal(signal.SIGCONT)
            return sent, [server.recv(65535) for _ in sent]

    def coalesced(self, gateway):
        return gateway.status()["counters"]["packets_coalesced"]

    @case.vipgate_only
    def test_datagrams_stay_as_they_are(self):
        for cards in (True, False):
            with self.subTest(cards=cards), self.lab(cards) as (lab, gateway):
                with capture.Sink(lab.hosts[BACKEND]) as sink:
                    sent, came = self.burst(lab, gateway)
                self.assertEqual([len(data) for data in came], LENGTHS)
                self.assertEqual(came, sent)
                self.assertEqual((sink.wrong[:5], sink.lost), ([], 0))
                self.assertGreater(self.coalesced(gateway), len(LENGTHS) / 2)

    @case.vipgate_only
    def test_streams_stay_as_they_are(self):
        for cards in (True, False):
            with self.subTest(cards=cards), self.lab(cards, workers=2) as (lab, gateway):
                original = files.write_random(f"{lab.path('www')}/file", case.scaled(SIZE))
                with capture.Sink(lab.client) as sink, capture.Sink(lab.hosts[HOSTS["host2"]]) as far_sink:
                    self.assertEqual(clients.download(lab.client, f"http://{VIP}/file"), original)
                    clients.upload(lab.client, f"{lab.path('www')}/file", f"http://{VIP}/sent")
                self.assertEqual(files.sha256_at(f"{lab.path('www')}/sent"), original)
                for seen in (sink, far_sink):
                    self.assertEqual((seen.wrong[:5], seen.lost), ([], 0))
                self.assertGreater(self.coalesced(gateway), 0)

    @case.vipgate_only
    def test_not_without_offload(self):
        with self.lab(cards=True, offload=False) as (lab, gateway):
            sent, came = self.burst(lab, gateway)
            self.assertEqual(came, sent)
            self.assertEqual(self.coalesced(gateway), 0)


if __name__ == "__main__":
    case.main()
