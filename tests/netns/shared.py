#!/usr/bin/python3
"""A shared VIP: a gateway with a single public address, some ports of which go to private hosts, and the rest of which is its own.

    client ───── 198.51.100.1 gateway ───┬─── host2    port 80
                 port 8081: its own      └─── host3    port 25
"""

import hashlib
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

import mail
import path_mtu
from lab import case, clients, config, files, kernel, servers
from lab.lab import CLIENT, GATEWAY_PUBLIC, HOSTS, Lab
from lab.waiting import until
from path_mtu import CLIENT_AWAY, NARROW, SERVER_AWAY, SERVER_ROUTER

SHARED = GATEWAY_PUBLIC
MASQUERADE = "10.0.0.250"
OWN_PORT = 8081  # of a server of the gateway host; stands for ssh
URL, OWN_URL = f"http://{SHARED}", f"http://{SHARED}:{OWN_PORT}"
SIZE = 8 << 20
DATAGRAMS = range(1, 1473, 7)
LOCAL_RULE = "0: from all lookup local"


def offered():
    return [config.service("web", 80, HOSTS["host2"], 8080), config.service("mail", 25, HOSTS["host3"]),
            config.service("echo", [7, "40000-40009"], HOSTS["host4"], protocol="udp")]


def configuration(services=None, workers=1, offload=True, source="masquerade"):
    """A file without any subnet."""
    services = [{"source": source, **one} for one in services or offered()]
    return {
        "tun": {"workers": workers, "offload": offload},
        "masquerade": [{"address": MASQUERADE, "announce": {"arp": ["private"]}}],
        "vips": [{"address": SHARED, "shared": True, "services": services}],
    }


def host_server(lab):
    """A server of the gateway host itself, and one of the client's."""
    lab.hosts[GATEWAY_PUBLIC], lab.hosts[CLIENT] = lab.gateway, lab.client
    servers.web(lab, GATEWAY_PUBLIC, OWN_PORT)


def private_servers(lab):
    servers.web(lab)
    servers.mail(lab)
    servers.echo(lab)
    servers.echo(lab, port=40000)


def greeting(namespace, url):
    return namespace.run("curl", "-sS", "-m", 20, f"{url}/", check=False).stdout.partition(" greets ")[0]


def refused(namespace, port):
    return namespace.run("curl", "-sS", "-m", 20, f"{URL}:{port}/", check=False).returncode == 7


class Shared(case.Case):
    def everybody_is_served(self, lab):
        """The private hosts' services, the gateway host's own, and what it opens itself."""
        for namespace in (lab.client, lab.gateway):
            self.assertEqual(greeting(namespace, URL), f"nginx on {HOSTS['host2']}:8080")
            self.assertEqual(greeting(namespace, OWN_URL), f"nginx on {SHARED}:{OWN_PORT}")
            self.assertTrue(refused(namespace, 81), "by the host")
            namespace.run("ping", "-c", 2, "-i", 0.2, "-W", 2, SHARED)
            namespace.run("ping", "-c", 2, "-i", 0.2, "-W", 2, "-s", 5000, SHARED)
        lab.gateway.run("ping", "-c", 2, "-i", 0.2, "-W", 2, CLIENT)
        self.assertEqual(greeting(lab.gateway, f"http://{CLIENT}:8080"), f"nginx on {CLIENT}:8080")

    def use(self, workers=1, offload=True, source="masquerade", prepare=None):
        with Lab() as lab:
            lab.end_offload(offload)
            host_server(lab)
            private_servers(lab)
            servers.web(lab, CLIENT, 8080)
            servers.echo(lab, CLIENT)
            if prepare:
                prepare(lab)
            with self.gateway(lab, configuration(workers=workers, offload=offload, source=source)) as gateway:
                self.everybody_is_served(lab)
                until("packets that pass", lambda: gateway.status()["counters"]["actions"].get("pass", 0))
                actions = gateway.status()["counters"]["actions"]
                self.assertEqual(actions.get("reply", 0), 0, "pings and closed ports are the host's")

                digest = files.write_random(f"{lab.path('www')}/file", case.scaled(SIZE))
                for url in (URL, OWN_URL):
                    for namespace in (lab.client, lab.gateway):
                        self.assertEqual(clients.download(namespace, f"{url}/file"), digest)
                        clients.upload(namespace, f"{lab.path('www')}/file", f"{url}/sent")
                        self.assertEqual(files.sha256_at(f"{lab.path('www')}/sent"), digest)
                attachment = os.urandom(case.scaled(1 << 20))
                mail.write_mail(lab.path("letter"), attachment)
                lab.client.run("curl", "-sS", f"smtp://{SHARED}", "--mail-from", "client@example.org", "--mail-rcpt",
                               "host3@vip.example", "--upload-file", lab.path("letter"))
                self.assertEqual([hashlib.sha256(data).digest() for data in mail.received(lab)],
                                 [hashlib.sha256(attachment).digest()])
                for port in (7, 40000):
                    clients.echo(lab.client, SHARED, port, DATAGRAMS)
                    clients.echo(lab.gateway, SHARED, port, DATAGRAMS)
                clients.echo(lab.gateway, CLIENT, 7, DATAGRAMS)
                self.host_learns_that_a_port_is_closed(lab)

    def host_learns_that_a_port_is_closed(self, lab):
        """ICMP errors about the host's own flows reach it."""
        with lab.gateway.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(5)
            sender.connect((CLIENT, 9))
            sender.send(b"?")
            with self.assertRaises(ConnectionRefusedError):
                sender.recv(1)

    def test_masquerade(self):
        self.use()

    def test_preserve_at_two_workers(self):
        self.use(source="preserve", workers=2)

    def test_without_offload(self):
        self.use(offload=False, workers=2)

    def test_with_reverse_path_filters(self):
        def filter_strictly(lab):
            for name in ("all", "public", "private"):
                lab.gateway.sysctl(f"net/ipv4/conf/{name}/rp_filter", 1)

        self.use(prepare=filter_strictly)

    def test_host_gets_no_port_that_is_served(self):
        """Answers to the host itself that come to a served port would go to the private host."""
        with Lab() as lab:
            servers.echo(lab, port=40000)
            lab.gateway.sysctl("net/ipv4/ip_local_port_range", "39998 40011")
            lab.gateway.sysctl("net/ipv4/ip_local_reserved_ports", "40011,50000")
            with self.gateway(lab, configuration()):
                self.assertEqual(lab.gateway.sysctl("net/ipv4/ip_local_reserved_ports"), "40000-40009,40011,50000")
                ports, sockets = set(), []
                with lab.gateway.entered():
                    for _ in range(3):
                        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                        sockets[-1].bind((SHARED, 0))
                        ports.add(sockets[-1].getsockname()[1])
                for one in sockets:
                    one.close()
                self.assertEqual(ports, {39998, 39999, 40010})

    def test_fault_5_killed_and_started_again(self):
        with Lab() as lab:
            host_server(lab)
            private_servers(lab)
            servers.web(lab, CLIENT, 8080)
            before = kernel.snapshot(lab.gateway)
            with self.gateway(lab, configuration()) as gateway:
                running = kernel.snapshot(lab.gateway)
                gateway.kill()
                self.assertEqual(greeting(lab.client, OWN_URL), f"nginx on {SHARED}:{OWN_PORT}", "while nobody runs")
                gateway.start()
                self.assertEqual(kernel.difference(running, kernel.snapshot(lab.gateway)), "")
                self.everybody_is_served(lab)
                gateway.kill()
                cleaned = gateway.command("clean")
                self.assertEqual(cleaned.returncode, 0, cleaned.stderr)
                self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "")
                gateway.start()
                gateway.kill()
                gateway.write(config.configuration())  # nothing is shared any more
                gateway.start()
                self.assertIn(LOCAL_RULE, lab.gateway.run("ip", "rule").stdout.replace("\t", " "))
                self.assertEqual(greeting(lab.client, OWN_URL), f"nginx on {SHARED}:{OWN_PORT}")

    def test_reload(self):
        with Lab() as lab:
            host_server(lab)
            private_servers(lab)
            servers.web(lab, CLIENT, 8080)
            unshared = {**config.configuration(), "masquerade": configuration()["masquerade"]}
            with self.gateway(lab, unshared) as gateway:
                before = kernel.snapshot(lab.gateway)
                self.assertEqual(greeting(lab.client, OWN_URL), f"nginx on {SHARED}:{OWN_PORT}")
                self.assertTrue(refused(lab.client, 80))
                gateway.reload(configuration(), says="reload")
                self.everybody_is_served(lab)
                gateway.reload(unshared, says="reload")
                self.assertTrue(refused(lab.client, 80))
                self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "")

    def test_what_others_change_is_put_right(self):
        with Lab() as lab, self.gateway(lab, configuration()) as gateway:
            running = kernel.snapshot(lab.gateway)
            said = len(gateway.log())
            lab.gateway.ip("rule add pref 0 lookup local", "rule del pref 98 ipproto icmp")
            gateway.wait_for_log("removed again", said)
            until("what there was", lambda: kernel.difference(running, kernel.snapshot(lab.gateway)), "")

    def test_an_interface_is_followed(self):
        """As DHCP and PPP bring addresses: none at first, then one, the same again, and another one."""
        def served(namespace, address):
            until(address, lambda: greeting(namespace, f"http://{address}"), f"nginx on {HOSTS['host2']}:8080")

        other = "198.51.100.77"
        settings = configuration()
        settings["vips"][0]["address"] = {"interface": "public"}
        with Lab() as lab:
            private_servers(lab)
            digest = files.write_random(f"{lab.path('www')}/file", case.scaled(SIZE))
            lab.gateway.ip(f"address del {SHARED}/24 dev public")
            with self.gateway(lab, settings) as gateway:
                gateway.wait_for_log("the VIP of public is out of reach")
                self.assertIsNone(gateway.status()["vips"][0]["address"])
                lab.gateway.ip(f"address add {SHARED}/24 dev public")
                served(lab.client, SHARED)

                slow = f"{URL}/file?rate={case.scaled(SIZE) // 4}"
                with lab.client.start("curl", "-sS", "--fail", slow, stdout=subprocess.PIPE) as transfer:
                    transfer.stdout.peek(1)
                    lab.gateway.ip(f"address del {SHARED}/24 dev public")
                    time.sleep(1.5)
                    lab.gateway.ip(f"address add {SHARED}/24 dev public")
                    self.assertEqual(files.sha256(transfer.stdout), digest, "a line that comes back with the same")

                lab.gateway.ip(f"address del {SHARED}/24 dev public", f"address add {other}/24 dev public")
                served(lab.client, other)
                self.assertEqual(gateway.status()["vips"][0]["address"], other)
                self.assertIn(f"VIP {other} of public", gateway.command("status").stdout)
                lab.gateway.ip(f"address add {SHARED}/24 dev public")
                self.assertTrue(refused(lab.client, 80), "the former one is the host's alone")
                lab.gateway.ip("address flush dev public")

    def test_an_address_of_nobody_is_refused(self):
        with Lab() as lab:
            settings = configuration()
            settings["vips"][0]["address"] = "198.51.100.2"
            before = kernel.snapshot(lab.gateway)
            gateway = self.gateway_kind(lab, settings)
            ended = gateway.command("run")
            self.assertEqual(ended.returncode, 1)
            self.assertIn("the shared VIP 198.51.100.2 is no address of this host. Remedy: ", ended.stdout + ended.stderr)
            self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "")


class PathMtu(case.Case):
    """Errors come to the VIP, which is the host: those about served flows must not end there, and others must."""

    def transfer(self, check, way, client_link=1500, server_link=1500, prepare=None):
        """`way`: that whose sender has to learn goes first. One that has learned tells the other by its segment size."""
        services = [config.service("web", 80, SERVER_AWAY, 8080)]
        for source, seen_client, workers, offload in (("masquerade", MASQUERADE, 1, True), ("preserve", CLIENT_AWAY, 2, False)):
            with self.subTest(source=source, workers=workers, offload=offload):
                with path_mtu.Network(client_link, server_link) as lab:
                    host_server(lab)
                    if prepare:
                        prepare(lab)
                    with self.gateway(lab, configuration(services, workers, offload, source)):
                        for step in (way, self.download, self.upload):
                            step(lab)
                        check(lab, seen_client)

    def download(self, lab):
        digest = files.write_random(f"{lab.path('www')}/file", case.scaled(SIZE))
        for url in (URL, OWN_URL):
            self.assertEqual(clients.download(lab.far_client, f"{url}/file", path_mtu.PATIENCE), digest)

    def upload(self, lab):
        digest = files.write_random(lab.path("file"), case.scaled(SIZE))
        for url in (URL, OWN_URL):
            clients.upload(lab.far_client, lab.path("file"), f"{url}/sent", path_mtu.PATIENCE)
            self.assertEqual(files.sha256_at(f"{lab.path('www')}/sent"), digest)

    def test_rfc1191_narrow_on_the_clients_side(self):
        def check(lab, seen_client):
            self.assertEqual(path_mtu.path_mtu(lab.server, seen_client), NARROW, "of a served flow")
            self.assertEqual(path_mtu.path_mtu(lab.gateway, CLIENT_AWAY), NARROW, "of the host's own")

        self.transfer(check, self.download, client_link=NARROW)

    def client_learns(self, lab, _):
        self.assertEqual(path_mtu.path_mtu(lab.far_client, SHARED), NARROW)

    def test_rfc1191_narrow_on_the_servers_side(self):
        self.transfer(self.client_learns, self.upload, server_link=NARROW)

    def test_rfc1191_narrow_at_the_gateway_on_the_clients_side(self):
        def check(lab, seen_client):
            self.assertEqual(path_mtu.path_mtu(lab.server, seen_client), NARROW)

        self.transfer(check, self.download, prepare=lambda lab: lab.narrow_at_gateway("public", lab.client))

    def test_rfc1191_narrow_at_the_gateway_on_the_servers_side(self):
        self.transfer(self.client_learns, self.upload,
                      prepare=lambda lab: lab.narrow_at_gateway("host3", lab.hosts[SERVER_ROUTER]))


if __name__ == "__main__":
    case.main()
