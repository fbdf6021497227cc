#!/usr/bin/python3
"""The recipes that are shipped do what they say: each is loaded as it is, but for the names of interfaces, and used by real programs."""

import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

import mail
from lab import REPOSITORY, case, clients, files, routing, servers
from lab.lab import CLIENT, GATEWAY_PUBLIC, HOSTS, VIP, Lab
from lab.uplinks import UPLINKS, Uplinks
from lab.vipgate import Vipgate

HOST2, HOST3, HOST4 = HOSTS.values()
RECIPES = os.path.join(REPOSITORY, "tools/examples/recipes")
INTERFACES = {"eth0": "public", "eth1": "private", "ppp0": "public"}  # of the recipes, in the lab
MIB = 1 << 20
PATIENCE = 30  # seconds


def without_comments(text):
    return re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda found: found[1] or "", text, flags=re.S)


def recipe(name):
    with open(os.path.join(RECIPES, name)) as file:
        text = without_comments(file.read())
    for theirs, ours in INTERFACES.items():
        text = text.replace(f'"{theirs}"', f'"{ours}"')
    settings = json.loads(text)
    settings.get("flows", {}).pop("state_dir", None)  # the lab's own
    return settings


def container():
    """(sysctls, capabilities) of the recipe's compose.yaml, which the command in the README must have too."""
    with open(os.path.join(RECIPES, "container/compose.yaml")) as file:
        compose = file.read()
    sysctls = dict(re.findall(r"^ +(net\.\S+): (\S+)$", compose, re.M))
    capabilities = re.search(r"cap_add: \[(.*)\]", compose)[1].split(", ")
    return sysctls, capabilities


class Recipes(case.Case):
    def get(self, namespace, url, *options):
        return namespace.run("curl", "-sS", "-m", 20, *options, url, check=False).stdout.strip()

    def greeted(self, namespace, url, server, patience=PATIENCE):
        """Until the server greets; it returns whom."""
        deadline = time.monotonic() + patience
        while not (said := self.get(namespace, url)).startswith(f"nginx on {server} greets"):
            self.assertLess(time.monotonic(), deadline, said)
            time.sleep(0.1)
        return said.rpartition(" ")[2]

    def refused(self, namespace, url):
        return namespace.run("curl", "-sS", "-m", 20, url, check=False).returncode == 7

    @case.vipgate_only
    def test_web_mail_ftp(self):
        with Lab() as lab:
            servers.web(lab, HOST2, 80)
            servers.mail(lab)
            servers.ftp(lab, HOST4)
            digest = files.write_random(lab.path("ftp/file"), MIB)
            with self.gateway(lab, recipe("web-mail-ftp.json")):
                self.greeted(lab.client, f"http://{VIP}/", f"{HOST2}:80")
                attachment = os.urandom(MIB)
                mail.write_mail(lab.path("letter"), attachment)
                lab.client.run("curl", "-sS", f"smtp://{VIP}", "--mail-from", "client@example.org", "--mail-rcpt", "host3@vip.example",
                               "--upload-file", lab.path("letter"))
                self.assertEqual(list(mail.received(lab)), [attachment])
                for way in ((), ("--disable-epsv",), ("--ftp-port", "-")):
                    lab.client.run("curl", "-sS", "--fail", "-m", 30, "--no-ftp-skip-pasv-ip", *way, "-o", lab.path("got"), f"ftp://{VIP}/file")
                    self.assertEqual(files.sha256_at(lab.path("got")), digest)

    @case.vipgate_only
    def test_port_forwarding(self):
        with Lab() as lab:
            servers.web(lab, HOST2, 80)
            servers.web(lab, HOST3, 3202)
            with self.gateway(lab, recipe("port-forwarding.json")):
                self.greeted(lab.client, f"http://{VIP}:8080/", f"{HOST2}:80")
                self.greeted(lab.client, f"http://{VIP}:2202/", f"{HOST3}:3202")
                self.assertTrue(self.refused(lab.client, f"http://{VIP}:80/"))
                self.assertEqual(self.get(lab.client, f"http://{HOST2}:80/"), "", "not around the VIP")

    @case.vipgate_only
    def test_lan_arp(self):
        vip = "198.51.100.10"
        with Lab() as lab:
            for one in (lab.client, *lab.hosts.values()):
                one.ip("route delete default")
            for address in (HOST2, HOST3):
                servers.web(lab, address)
            with self.gateway(lab, recipe("lan-arp.json")):
                for address in (HOST2, HOST3):
                    self.assertEqual(self.greeted(lab.client, f"http://{vip}/", f"{address}:8080"), "10.0.0.250")

    @case.vipgate_only
    def test_two_uplinks(self):
        with Uplinks() as lab:
            servers.web(lab)
            routing.bird(lab)
            with self.gateway(lab, recipe("two-uplinks.json")):
                deadline = time.monotonic() + 2 * PATIENCE
                while lab.next_hops(VIP) != sorted(near for near, _ in UPLINKS.values()):
                    self.assertLess(time.monotonic(), deadline, routing.log(lab))
                    time.sleep(0.1)
                for fail in ("uplink1", None):
                    self.greeted(lab.client, f"http://{VIP}/", f"{HOST2}:8080")
                    if fail:
                        lab.fail(fail)
                lab.mend("uplink1")

    @case.vipgate_only
    def test_home_router(self):
        """With nftables for what the hosts at home open, as the README says."""
        with open(os.path.join(RECIPES, "README.md")) as file:
            table = re.search(r"^ +table ip home \{.*?^    \}$", file.read(), re.M | re.S)[0].replace('"ppp0"', '"public"')
        with Lab() as lab:
            lab.hosts[GATEWAY_PUBLIC], lab.hosts[CLIENT] = lab.gateway, lab.client
            servers.web(lab)
            servers.echo(lab, port=27001)
            servers.web(lab, GATEWAY_PUBLIC, 8081)  # the router's own
            servers.web(lab, CLIENT, 80)
            lab.client.ip("route delete default")  # the internet knows nothing of the home
            lab.gateway.run("nft", "-f", "-", input=table)
            with self.gateway(lab, recipe("home-router.json")):
                self.assertEqual(self.greeted(lab.client, f"http://{GATEWAY_PUBLIC}/", f"{HOST2}:8080"), "10.0.0.250")
                clients.echo(lab.client, GATEWAY_PUBLIC, 27001, [1, 100, 1400])
                self.greeted(lab.client, f"http://{GATEWAY_PUBLIC}:8081/", f"{GATEWAY_PUBLIC}:8081")
                self.assertEqual(self.greeted(lab.gateway, f"http://{CLIENT}/", f"{CLIENT}:80"), GATEWAY_PUBLIC)
                self.assertEqual(self.greeted(lab.hosts[HOST3], f"http://{CLIENT}/", f"{CLIENT}:80"), GATEWAY_PUBLIC, "by nftables")

    @case.vipgate_only
    def test_home_router_own_address(self):
        with Lab() as lab:
            lab.hosts[CLIENT] = lab.client
            servers.web(lab)
            servers.web(lab, CLIENT, 80)
            lab.client.ip("route delete default", f"route add {VIP} via {GATEWAY_PUBLIC}")
            with self.gateway(lab, recipe("home-router-own-address.json")):
                self.greeted(lab.client, f"http://{VIP}/", f"{HOST2}:8080")
                self.assertEqual(self.greeted(lab.hosts[HOST3], f"http://{CLIENT}/", f"{CLIENT}:80"), VIP)

    @case.vipgate_only
    def test_container(self):
        """What a container gives: sysctls that are set from outside, few capabilities, and a read-only /proc/sys. Its runtime is not run."""
        sysctls, capabilities = container()
        with open(os.path.join(RECIPES, "README.md")) as file:
            said = file.read()
        self.assertEqual(dict(re.findall(r"--sysctl (\S+)=(\S+)", said)), sysctls)
        self.assertEqual(re.findall(r"--cap-add (\S+)", said), capabilities)
        bounding = ",".join(["-all", *("+" + name.lower() for name in capabilities)])
        with Lab() as lab:
            servers.web(lab)
            # IPv6 is off in the lab, and rp_filter, too: here they are as on a host.
            for name in ("all", "default"):
                lab.gateway.sysctl(f"net/ipv4/conf/{name}/rp_filter", 1)
            lab.gateway.sysctl("net/ipv6/conf/default/disable_ipv6", 0)
            lab.gateway.sysctl("net/ipv6/conf/all/disable_ipv6", 0)
            for name, value in sysctls.items():
                lab.gateway.sysctl(name.replace(".", "/"), value)
            before = ["unshare", "--mount", "sh", "-ec", "mount -o bind,ro /proc/sys /proc/sys; exec \"$@\"", "sh", "setpriv", "--no-new-privs",
                      f"--bounding-set={bounding}", f"--inh-caps={bounding}", f"--ambient-caps={bounding}"]
            gateway = Vipgate(lab, recipe("container/vipgate.json"), before=before)
            gateway.start()
            self.greeted(lab.client, f"http://{VIP}/", f"{HOST2}:8080")
            self.assertNotRegex(gateway.log(), "warning:|error:")
            gateway.stop()


if __name__ == "__main__":
    case.main("bird", "unshare", "setpriv", "vsftpd")
