#!/usr/bin/python3
"""What the gateway answers about itself: explain, flows, top."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, servers
from lab.lab import HOSTS, MASQUERADE, VIP, Lab
from lab.vipgate import binary

HOST2, HOST3 = HOSTS["host2"], HOSTS["host3"]
CLIENT = "198.51.100.7"
WRONG_INPUT = 2


def settings():
    web = config.service("web", 80, HOST2, 8080, deny=["192.0.2.0/24"])
    dns = config.service("dns", 53, HOST3, 53, protocol="udp")
    return config.configuration(workers=2, offered=[web, dns])


def steps(said):
    """{"service": "web has tcp 80"} of an explanation in words."""
    return dict(re.match(r"(\S+(?: on)?) +(.*)", line).groups() for line in said.splitlines())


class Questions(case.Case):
    @contextlib.contextmanager
    def running(self):
        with Lab() as lab:
            servers.web(lab)
            with self.gateway(lab, settings()) as gateway:
                yield lab, gateway

    @case.vipgate_only
    def test_explain_live_foretells_what_happens(self):
        with self.running() as (lab, gateway):
            words = f"tcp {CLIENT}:40000 > {VIP}:80"
            said = gateway.command("explain", "--live", words)
            self.assertEqual(said.returncode, 0, said.stderr)
            new = steps(said.stdout)
            self.assertEqual((new["flow"], new["verdict"]), ("none is known", "forward"))
            self.assertEqual(gateway.status()["flows"]["now"], 0, "nothing was sent, nothing is kept")
            with lab.client.entered(), socket.create_connection((VIP, 80)) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
                connection.recv(4096)
                here, port = connection.getsockname()
                known = steps(gateway.command("explain", "--live", f"tcp {here}:{port} > {VIP}:80 S").stdout)
                self.assertRegex(known["flow"], f"^known, from who opened it: established, service web, backend {HOST2}")
                seen = json.loads(gateway.command("flows", "--json", "--port", str(port)).stdout)
                back = f"tcp {HOST2}:8080 > {seen['translated_source']} R seq 1"
                self.assertIn("tcp_reset", steps(gateway.command("explain", "--live", back).stdout)["verdict"])
                connection.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
                self.assertIn(b"200 OK", connection.recv(4096), "the RST was not taken for real")
            gateway.command("drain", HOST2)
            self.assertEqual(steps(gateway.command("explain", "--live", words).stdout)["backend"],
                             f"none takes new flows: {HOST2}:8080 (drained)")
            alone = steps(gateway.command("explain", words).stdout)
            self.assertEqual(alone["verdict"], "forward", "by the file alone, nothing is drained")
            self.assertEqual(gateway.command("explain", "--live", "tcp 1.2.3.4 > 5").returncode, WRONG_INPUT)

    @case.vipgate_only
    def test_explain_says_why_a_packet_was_refused(self):
        with self.running() as (lab, gateway):
            capture = lab.path("refused.pcap")
            with lab.gateway.start("tcpdump", "-i", "tun0", "-w", capture, "-U", "-c", "2", "tcp", "port", "81",
                                   stderr=subprocess.PIPE) as dump:
                dump.stderr.readline()
                self.assertNotEqual(lab.client.run("curl", "-sS", "-m", "3", f"http://{VIP}:81/", check=False).returncode, 0)
                dump.wait(10)
            for live in ((), ("--live",)):
                said = steps(gateway.command("explain", *live, "--pcap", capture, "--packet", "1").stdout)
                self.assertEqual(said["service"], "none has tcp 81; there is web at tcp 80; dns at udp 53")
                self.assertEqual(said["verdict"], "reply, no_service: no service on this port of the VIP")
            self.assertRegex(gateway.command("explain", "--pcap", capture, "--packet", "9").stderr, "has 2 packets")
            denied = steps(gateway.command("explain", f"tcp 192.0.2.9:1 > {VIP}:80").stdout)
            self.assertEqual(denied["client"], "192.0.2.9 is denied by 192.0.2.0/24")

    @case.vipgate_only
    def test_explain_live_counts_what_other_flows_use_of_limits(self):
        with Lab() as lab, contextlib.ExitStack() as stack:
            servers.web(lab)
            web = config.service("web", 80, HOST2, 8080, limits={"flows": 3, "flows_per_client": 2})
            with self.gateway(lab, config.configuration(workers=2, offered=[web])) as gateway:
                def ask(client):
                    return steps(gateway.command("explain", "--live", f"tcp {client}:7 > {VIP}:80").stdout)

                self.assertEqual(ask(CLIENT)["limits"], "flows 3, flows_per_client 2: there is room")
                with lab.client.entered():
                    for _ in range(2):
                        stack.enter_context(socket.create_connection((VIP, 80), 5))
                self.assertEqual(ask(CLIENT)["limits"], "flows 3, flows_per_client 2: reached")
                self.assertRegex(ask(CLIENT)["verdict"], "client_flows")
                self.assertEqual(ask("198.51.100.8")["verdict"], "forward", "of another client's there are fewer")
                stack.close()

    @case.vipgate_only
    def test_flows(self):
        with self.running() as (lab, gateway), lab.client.entered(), contextlib.ExitStack() as stack:
            for _ in range(40):  # over both workers
                stack.enter_context(socket.create_connection((VIP, 80), 5))
            query = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            query.sendto(b"?", (VIP, 53))
            all_of_them = [json.loads(line) for line in gateway.command("flows", "--json").stdout.splitlines()]
            self.assertEqual(len(all_of_them), 41)
            ports = {one["source"].split(":")[1] for one in all_of_them if one["protocol"] == "tcp"}
            self.assertEqual(len(ports), 40, "each once")
            self.assertEqual({one["service"] for one in all_of_them}, {"web", "dns"})
            self.assertEqual({one["translated_source"].split(":")[0] for one in all_of_them}, {MASQUERADE})
            for words, count in ((("--service", "web"), 40), (("--protocol", "udp"), 1), (("--state", "established"), 40),
                                 (("--address", HOST2), 40), (("--address", "203.0.113.0/24", "--limit", "7"), 7),
                                 (("--backend", f"{HOST3}:53"), 1), (("--port", "99"), 0)):
                said = gateway.command("flows", *words)
                self.assertEqual(said.returncode, 0, said.stderr)
                self.assertEqual(said.stdout.splitlines()[-1], f"{count} flow{'s' * (count != 1)}", words)
            self.assertIn(f"{HOST2}:8080", gateway.command("flows", "--service", "web", "--limit", "1").stdout)
            self.assertRegex(gateway.command("flows", "--port", "x").stderr, "port=x.*is not understood")

    @case.vipgate_only
    def test_top(self):
        with self.running() as (lab, gateway):
            lab.client.start("sh", "-c", f"while :; do curl -sS -m 3 -o /dev/null http://{VIP}/; done", stderr=subprocess.DEVNULL)
            said = gateway.command("top", "--once", "--interval", "1").stdout
            row = re.search(rf"web/{HOST2}:8080 +up +\S+ +([0-9.]+)( k)? ", said)
            self.assertTrue(row, said)
            self.assertGreater(float(row[1]), 0, said)
            watched = lab.gateway.at_terminal(binary(), "top", "--interval", 0.2, "--config", gateway.config_path,
                                              input="n/dns\nq").stdout
            self.assertIn("\x1b[?1049h", watched, "it is a terminal")
            self.assertIn("filter: dns", watched)
            self.assertTrue(watched.rstrip().endswith("\x1b[?1049l"), "as it was before")


if __name__ == "__main__":
    case.main("tcpdump", "script")
