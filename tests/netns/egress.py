#!/usr/bin/python3
"""Private hosts open flows of their own, and leave with the VIP: servers "in the internet" are in the client's namespace."""

import contextlib
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, clients, config, files, servers
from lab.lab import CLIENT, HOSTS, VIP, Lab
from lab.waiting import until

MIB = 1 << 20
OTHER = "198.51.100.8"  # a second address of the internet
REMOTE = "192.168.50.1"  # an exception, by the same way as the internet
HOST2, HOST3, HOST4 = HOSTS.values()
EGRESS_PORTS = range(40960, 65536)
EGRESS = [{"from": "10.0.0.0/24", "as": VIP}]
WEB = config.service("web", 80, HOST2, 8080)


def internet(lab):
    """Gives the client's namespace more addresses, all of which can have servers."""
    lab.client.ip(f"addr add {OTHER}/24 dev eth0", f"addr add {REMOTE}/32 dev eth0")
    lab.gateway.ip(f"route add {REMOTE}/32 via {CLIENT}")
    lab.hosts.update({address: lab.client for address in (CLIENT, OTHER, REMOTE)})
    servers.web(lab, CLIENT, 80)


def settings(egress=EGRESS, offered=(WEB,), **options):
    return {**config.configuration(offered=list(offered), **options), "egress": egress}


def fetch(namespace, url, *options):
    return namespace.run("curl", "-sS", "--fail", "-m", 20, *options, url).stdout.strip()


def udp_socket(namespace, address, port=0):
    with namespace.entered():
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(3)
    udp.bind((address, port))
    return udp


class Egress(case.Case):
    @contextlib.contextmanager
    def private_network(self, *also, **options):
        """A lab whose private hosts leave with the VIP."""
        with Lab() as lab:
            for server in (internet, *also):
                server(lab)
            with self.gateway(lab, settings(**options)) as self.vipgate:
                yield lab

    def transfer(self, **options):
        with self.private_network(**options) as lab:
            host, url = lab.hosts[HOST3], f"http://{CLIENT}"
            self.assertEqual(fetch(host, f"{url}/id/1"), f"/id/1 {VIP}")
            digest = files.write_random(f"{lab.path('www')}/file", 20 * MIB)
            self.assertEqual(clients.download(host, f"{url}/file"), digest, "the download differs")
            clients.upload(host, f"{lab.path('www')}/file", f"{url}/sent")
            self.assertEqual(files.sha256_at(f"{lab.path('www')}/sent"), digest, "the upload differs")
            self.assertEqual(clients.connect_often(lab.hosts[HOST4], CLIENT, 80, case.scaled(2000), VIP), "")

    @case.vipgate_only
    def test_one_worker(self):
        self.transfer(workers=1)

    @case.vipgate_only
    def test_two_workers(self):
        self.transfer(workers=2)

    @case.vipgate_only
    def test_two_workers_without_offload(self):
        self.transfer(workers=2, offload=False)

    @case.vipgate_only
    def test_datagrams(self):
        for workers in (1, 2):
            with self.subTest(workers=workers), self.private_network(workers=workers) as lab:
                servers.echo(lab, CLIENT)
                servers.names(lab, OTHER)
                clients.echo(lab.hosts[HOST3], CLIENT, 7, range(1, 1473, 7))
                answer = lab.hosts[HOST4].run("dig", "+short", "+tries=1", f"@{OTHER}", "who.vip.example", "TXT").stdout
                self.assertEqual(answer.strip(), f'"dnsmasq on {OTHER}"')

    @case.vipgate_only
    def test_ping(self):
        """Many at once, some of them with the same id from different hosts."""
        with self.private_network(workers=2) as lab:
            pings = [
                lab.hosts[host].start("ping", "-q", "-c", 5, "-i", "0.2", "-W", 2, "-e", number, address, stdout=-3)
                for host in HOSTS.values() for number in (7, 8, 7000) for address in (CLIENT, OTHER)
            ]
            self.assertEqual([ping.wait(20) for ping in pings], [0] * len(pings))

    @case.vipgate_only
    def test_rfc4787_req1_one_mapping_for_every_destination(self):
        with self.private_network(workers=2) as lab, udp_socket(lab.hosts[HOST3], HOST3, 5000) as host, \
                udp_socket(lab.client, CLIENT, 9001) as one, udp_socket(lab.client, OTHER, 9002) as two:
            for server in (one, two):
                host.sendto(b"who am I?", server.getsockname())
            seen = [server.recvfrom(64)[1] for server in (one, two)]
            self.assertEqual(seen[0], seen[1])
            self.assertEqual(seen[0][0], VIP)
            self.assertIn(seen[0][1], EGRESS_PORTS)
            for server in (one, two):
                server.sendto(b"you", seen[0])
                self.assertEqual(host.recvfrom(64), (b"you", server.getsockname()))

    @case.vipgate_only
    def test_rfc4787_req8_others_are_not_let_in(self):
        """What comes to a mapped port from an address, or a port, that the host has not asked."""
        with self.private_network() as lab, udp_socket(lab.hosts[HOST3], HOST3, 5000) as host, \
                udp_socket(lab.client, CLIENT, 9001) as asked, udp_socket(lab.client, OTHER, 9001) as third, \
                udp_socket(lab.client, CLIENT, 9003) as other_port:
            host.sendto(b"hello", asked.getsockname())
            mapped = asked.recvfrom(64)[1]
            for stranger in (third, other_port):
                stranger.sendto(b"intruder", mapped)
            asked.sendto(b"answer", mapped)
            self.assertEqual(host.recvfrom(64), (b"answer", asked.getsockname()))
            host.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                host.recvfrom(64)
            with lab.client.entered(), self.assertRaises(OSError):
                socket.create_connection((VIP, mapped[1]), 1)

    @case.vipgate_only
    def test_exceptions_see_the_private_address(self):
        with self.private_network() as lab:
            servers.web(lab, REMOTE, 80)
            self.assertEqual(fetch(lab.hosts[HOST3], f"http://{REMOTE}/id/1"), f"/id/1 {HOST3}")
            self.assertEqual(fetch(lab.hosts[HOST3], f"http://{CLIENT}/id/1"), f"/id/1 {VIP}")
        with self.private_network(egress=[{**EGRESS[0], "except": []}]) as lab:
            servers.web(lab, REMOTE, 80)
            self.assertEqual(fetch(lab.hosts[HOST3], f"http://{REMOTE}/id/1"), f"/id/1 {VIP}")

    @case.vipgate_only
    def test_first_entry_holds(self):
        """A narrower entry, whose exceptions are not the wider one's."""
        narrow = {"from": f"{HOST3}/32", "as": VIP, "except": []}
        with self.private_network(egress=[narrow, *EGRESS]) as lab:
            servers.web(lab, REMOTE, 80)
            self.assertEqual(fetch(lab.hosts[HOST3], f"http://{REMOTE}/id/1"), f"/id/1 {VIP}")
            self.assertEqual(fetch(lab.hosts[HOST4], f"http://{REMOTE}/id/1"), f"/id/1 {HOST4}")

    @case.vipgate_only
    def test_rfc4787_req9_hairpin(self):
        for source in ("masquerade", "preserve"):
            with self.subTest(source=source), self.private_network(servers.web, source=source) as lab:
                for host in (HOST3, HOST2):  # a neighbour of the backend, and the backend itself
                    answer = fetch(lab.hosts[host], f"http://{VIP}/")
                    self.assertRegex(answer, re.escape(f"nginx on {HOST2}:8080 greets 203.0.113."))
                lab.hosts[HOST3].run("ping", "-c", 3, "-i", 0.2, VIP)

    @case.vipgate_only
    def test_backend_with_preserve_and_egress(self):
        """Replies go to clients of every address, those that are exceptions of egress too."""
        with self.private_network(servers.web, source="preserve", workers=2) as lab:
            for address in (CLIENT, REMOTE):
                seen = fetch(lab.client, f"http://{VIP}/", "--interface", address)
                self.assertEqual(seen, f"nginx on {HOST2}:8080 greets {address}")
            self.assertEqual(fetch(lab.hosts[HOST2], f"http://{CLIENT}/id/1"), f"/id/1 {VIP}")

    @case.vipgate_only
    def test_private_hosts_are_out_of_reach(self):
        with Lab() as lab:
            internet(lab)
            lab.gateway.ip(f"route delete {REMOTE}/32")  # what leads to an exception is not guarded
            with self.gateway(lab, settings()):
                for host in HOSTS.values():
                    self.assertNotEqual(lab.client.run("ping", "-c", 1, "-W", 1, host, check=False).returncode, 0)
                self.assertEqual(fetch(lab.hosts[HOST3], f"http://{CLIENT}/id/1"), f"/id/1 {VIP}")
                lab.gateway.run("ping", "-c", 3, "-i", 0.2, HOST3)

    @case.vipgate_only
    def test_reload(self):
        with self.private_network(egress=[]) as lab:
            def seen():
                done = lab.hosts[HOST3].run("curl", "-sS", "-m", 2, f"http://{CLIENT}/id/1", check=False)
                return done.stdout.strip().partition(" ")[2]

            self.assertNotEqual(seen(), VIP)
            for _ in range(2):
                self.vipgate.reload(settings(), says="reloaded")
                until("the VIP", seen, VIP)
                self.vipgate.reload(settings(egress=[]), says="reloaded")
                self.assertNotEqual(seen(), VIP)


if __name__ == "__main__":
    case.main()
