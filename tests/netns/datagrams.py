#!/usr/bin/python3
"""UDP through a VIP: every size by content, DNS with real programs."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, clients, servers
from lab.lab import HOSTS, VIP

LARGEST = 1472  # what fits an MTU of 1500


def udp_socket(lab):
    with lab.client.entered():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(5)
    client.connect((VIP, 7))
    return client


class Datagrams(case.Case):
    def test_every_size(self):
        for workers in (1, 2):
            for source in ("masquerade", "preserve"):
                for offload in (True, False):
                    with self.subTest(workers=workers, source=source, offload=offload):
                        with self.network(servers.echo, workers=workers, source=source, offload=offload) as lab:
                            clients.echo(lab.client, VIP, 7, range(1, LARGEST + 1))

    def test_names(self):
        with self.network(servers.names) as lab:
            def ask(*question):
                return lab.client.run("dig", "+short", "+tries=1", f"@{VIP}", *question).stdout.strip()

            self.assertEqual(ask("www.vip.example"), VIP)
            self.assertEqual(ask("who.vip.example", "TXT"), f'"dnsmasq on {HOSTS["host4"]}"')
            self.assertEqual(ask("+tcp", "who.vip.example", "TXT"), f'"dnsmasq on {HOSTS["host4"]}"')
            self.assertIn("d" * 200, ask("+notcp", "long.vip.example", "TXT"))

    def test_closed_port_is_refused(self):
        with self.network() as lab, udp_socket(lab) as client:
            client.connect((VIP, 9))
            client.send(b"anyone?")
            with self.assertRaises(ConnectionRefusedError):
                client.recv(16)


if __name__ == "__main__":
    case.main()
