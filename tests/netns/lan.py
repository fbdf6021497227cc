#!/usr/bin/python3
"""A LAN without routers: neighbours reach a VIP by ARP, and backends a masquerade address."""

import contextlib
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, kernel, servers
from lab.lab import HOSTS, Lab
from lab.vipgate import Vipgate
from lab.waiting import until

VIP = "198.51.100.10"  # in the client's own network
MASQUERADE = "10.0.0.250"  # in the backends' own network
HOST2 = HOSTS["host2"]


def configuration(vip_on=("public",), masquerade_on=("private",)):
    """A VIP and a masquerade address that nothing routes: they are announced by ARP alone."""
    return {
        "tun": {"subnet": f"{VIP}/32"},
        "masquerade": [{"address": MASQUERADE, "announce": {"arp": list(masquerade_on)}}],
        "vips": [{"address": VIP, "announce": {"arp": list(vip_on)}, "services": [config.service("web", 80, HOST2, 8080)]}],
    }


def mac_of(namespace, device):
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as any_socket:
        any_socket.bind((device, 0))
        return any_socket.getsockname()[4].hex(":")


class Lan(case.Case):
    @contextlib.contextmanager
    def lan(self):
        """A network where nobody has a route: the client and the private hosts know their own networks alone."""
        with Lab() as lab:
            for one in (lab.client, *lab.hosts.values()):
                one.ip("route delete default")
            servers.web(lab)
            yield lab

    def fetch(self, lab, patience=5):
        return lab.client.run("curl", "-sS", "--fail", "-m", patience, f"http://{VIP}/", check=False)

    def assert_served(self, lab):
        """Whoever asks is served, and the backend sees the masquerade address."""
        done = self.fetch(lab)
        self.assertEqual(done.stdout, f"nginx on {HOST2}:8080 greets {MASQUERADE}\n", done.stderr)

    def neighbour(self, namespace, address):
        """The MAC address that a host knows for an address, or ""."""
        known = namespace.run("ip", "neigh", "show", address).stdout.split()
        return known[known.index("lladdr") + 1] if "lladdr" in known else ""

    @case.vipgate_only
    def test_neighbours_reach_the_vip(self):
        with self.lan() as lab:
            self.assertNotEqual(self.fetch(lab, 2).returncode, 0)
            with self.gateway(lab, configuration()):
                self.assert_served(lab)
                self.assertEqual(self.neighbour(lab.client, VIP), mac_of(lab.gateway, "public"))
                self.assertEqual(self.neighbour(lab.hosts[HOST2], MASQUERADE), mac_of(lab.gateway, "private"))
                lab.client.run("ping", "-c", 3, "-i", 0.2, VIP)
            lab.client.ip("neigh flush all")
            self.assertNotEqual(self.fetch(lab, 2).returncode, 0, "nobody answers for it any more")

    @case.vipgate_only
    def test_neighbours_are_told_when_the_vip_moves(self):
        """A neighbour that knows the address elsewhere learns from the announcement."""
        with self.lan() as lab:
            lab.client.ip(f"neigh replace {VIP} lladdr 02:00:00:00:00:99 dev eth0 nud stale")
            with self.gateway(lab, configuration()):
                own = mac_of(lab.gateway, "public")
                until("the client heard of it", lambda: self.neighbour(lab.client, VIP) == own)
                self.assert_served(lab)

    @case.vipgate_only
    def test_an_address_in_use_is_not_taken(self):
        with self.lan() as lab:
            before = kernel.snapshot(lab.gateway)
            lab.client.ip(f"addr add {VIP}/32 dev eth0")
            gateway = Vipgate(lab, configuration())
            with self.assertRaisesRegex(Exception, f"{VIP} is used by another host on public \\({mac_of(lab.client, 'eth0')}\\)"):
                gateway.start()
            self.assertEqual(gateway.process.wait(5), 1)
            self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "", "left in the kernel")

    @case.vipgate_only
    def test_a_second_gateway_does_not_take_the_address(self):
        """The kernel answers no probe for another's sake (RFC 5227), but an ordinary question."""
        with self.lan() as lab:
            lab.client.sysctl("net/ipv4/ip_forward", 1)
            lab.client.sysctl("net/ipv4/neigh/eth0/proxy_delay", 0)
            lab.client.ip("link add elsewhere type veth peer name far", "link set elsewhere up", "link set far up",
                          f"route add {VIP}/32 dev elsewhere", f"neigh add proxy {VIP} dev eth0")
            with self.assertRaisesRegex(Exception, f"{VIP} is used by another host on public"):
                Vipgate(lab, configuration()).start()

    @case.vipgate_only
    def test_an_address_that_is_taken_later_is_seen_and_defended(self):
        with self.lan() as lab, self.gateway(lab, configuration()) as gateway:
            self.assert_served(lab)
            said = len(gateway.log())
            host = lab.hosts[HOSTS["host3"]]
            host.ip(f"addr add {MASQUERADE}/32 dev eth0")
            # As a host does that has a new address.
            host.run(sys.executable, "-c", ANNOUNCE, MASQUERADE)
            gateway.wait_for_log(f"warning: somebody else uses {MASQUERADE} on private \\({mac_of(host, 'eth0')}\\)", said)
            own = mac_of(lab.gateway, "private")
            until("the backend knows better", lambda: self.neighbour(lab.hosts[HOST2], MASQUERADE) == own)
            self.assert_served(lab)

    @case.vipgate_only
    def test_an_interface_comes_later_and_goes_and_comes(self):
        with self.lan() as lab:
            before = kernel.snapshot(lab.gateway)
            lab.gateway.ip("link set public down", "link set public name later")
            gateway = Vipgate(lab, configuration())
            gateway.start()
            self.assertIn(f"warning: public is not there: {VIP} is not announced on it by ARP until it comes", gateway.log())
            lab.gateway.ip("link set later name public", "link set public up")
            gateway.wait_for_log(f"ARP {VIP} dev public proto 86 answered")
            self.assert_served(lab)
            for _ in range(2):
                said = len(gateway.log())
                lab.gateway.ip("link set public down")
                gateway.wait_for_log("public is down", said)
                lab.gateway.ip("link set public up")
                gateway.wait_for_log(f"ARP {VIP} dev public proto 86 answered", said)
                self.assert_served(lab)
            gateway.stop()
            self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "", "left in the kernel")

    @case.vipgate_only
    def test_reload_and_kill(self):
        with self.lan() as lab, self.gateway(lab, configuration()) as gateway:
            self.assert_served(lab)
            gateway.reload({**configuration(), "masquerade": [MASQUERADE]}, "reloaded")
            lab.hosts[HOST2].ip("neigh flush all")
            self.assertNotEqual(self.fetch(lab, 2).returncode, 0, "the backend cannot answer")
            said = len(gateway.log())
            gateway.reload(configuration(), "reloaded")
            gateway.wait_for_log(f"ARP {MASQUERADE} dev private proto 86 answered", said)
            self.assert_served(lab)
            gateway.kill()
            gateway.start()
            self.assert_served(lab)


ANNOUNCE = """
import socket, struct, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0x0806)
address = socket.inet_aton(sys.argv[1])
raw.bind(("eth0", 0x0806))
own = raw.getsockname()[4]
raw.sendto(struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + address + bytes(6) + address, ("eth0", 0x0806, 0, 0, b"\\xff" * 6))
"""


if __name__ == "__main__":
    case.main()
