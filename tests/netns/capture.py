#!/usr/bin/python3
"""vipgate capture: real traffic, seen through tshark, filters, a reader that stalls, and what becomes of it when the gateway changes."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, servers
from lab.lab import CLIENT, HOSTS, MASQUERADE, VIP, Lab
from lab.vipgate import Vipgate, binary
from lab.waiting import until

HOST2, HOST4 = HOSTS["host2"], HOSTS["host4"]
FAILED, WRONG_INPUT = 1, 2
PATIENCE = 120  # seconds; tshark takes some
FIELDS = ("frame.comment", "frame.interface_name", "frame.packet_flags_direction", "frame.packet_id", "ip.src", "ip.dst", "ip.proto",
          "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport", "frame.len", "frame.cap_len", "_ws.malformed", "_ws.expert.message")
CHECKSUMS = ("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
             "-o", "tcp.desegment_tcp_streams:FALSE")


def settings():
    offered = [config.service("web", 80, HOST2, 8080, deny=["192.0.2.0/24"]), config.service("echo", 7, HOST4, protocol="udp")]
    return config.configuration(workers=2, offered=offered)


def packets_of(path, *words):
    """What tshark sees: a dictionary of FIELDS a packet."""
    asked = [word for field in FIELDS for word in ("-e", field)]
    said = subprocess.run(["tshark", "-n", "-r", path, *CHECKSUMS, "-T", "json", *asked, *words], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    if said.returncode != 0:
        raise AssertionError(said.stderr)
    return [{name: values[0] for name, values in one["_source"]["layers"].items()} for one in json.loads(said.stdout)]


def sides_of(packets):
    """Packets by their number, each {"in": ..., "out": ...}."""
    pairs = {}
    for one in packets:
        pairs.setdefault(one["frame.packet_id"], {})[one["frame.interface_name"].split()[1]] = one
    return list(pairs.values())


class Capture(case.Case):
    @contextlib.contextmanager
    def running(self, *arguments):
        with Lab() as lab:
            servers.web(lab)
            servers.echo(lab)
            with self.gateway(lab, settings(), lambda *words: Vipgate(*words, arguments)) as gateway:
                yield lab, gateway

    def start(self, lab, gateway, *words, **options):
        """A capture that has begun."""
        options.setdefault("stdout", subprocess.PIPE)
        child = lab.gateway.start(binary(), "capture", *words, "--config", gateway.config_path, stderr=subprocess.PIPE, **options)
        self.addCleanup(child.stderr.close)
        if child.stdout:
            self.addCleanup(child.stdout.close)
        said = child.stderr.readline()
        self.assertEqual(said, b"capturing; Ctrl-C ends it\n")
        return child

    def end(self, child, number=signal.SIGINT):
        """Ends it in order. Returns (captured, lost)."""
        if number is not None:
            child.send_signal(number)
        said = child.stderr.read().decode()
        self.assertEqual(child.wait(PATIENCE), 0, said)
        return tuple(int(one) for one in re.search(r"(\d+) packets captured, (\d+) lost", said).groups())

    def traffic(self, lab):
        """A ping, a page, a refused port, a datagram and its answer: that is the gateway's last, and seen before it is sent."""
        lab.client.run("ping", "-c", 3, "-i", 0.2, VIP)
        lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}/id/1")
        self.assertNotEqual(lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}:81/", check=False).returncode, 0)
        with lab.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            query.settimeout(5)
            query.sendto(b"hello", (VIP, 7))
            self.assertEqual(query.recv(100), b"hello")

    def check_whole(self, packets):
        """No packet that tshark finds wrong, checksums included."""
        self.assertTrue(packets)
        for one in packets:
            self.assertNotIn("_ws.malformed", one)
            self.assertNotRegex(one.get("_ws.expert.message", ""), "(?i)checksum|malformed|bogus")
            self.assertIn("frame.comment", one)

    @case.vipgate_only
    def test_both_sides_in_wireshark(self):
        with self.running() as (lab, gateway):
            path = lab.path("all.pcapng")
            child = self.start(lab, gateway, "--write", path)
            self.traffic(lab)
            captured, lost = self.end(child)
            self.assertEqual(lost, 0)
            packets = packets_of(path)
            self.check_whole(packets)
            pairs = sides_of(packets)
            self.assertEqual(len(pairs), captured)

            syn = next(one for one in pairs if one["in"].get("tcp.dstport") == "80")
            self.assertEqual((syn["in"]["ip.src"], syn["in"]["ip.dst"]), (CLIENT, VIP))
            self.assertEqual((syn["out"]["ip.src"], syn["out"]["ip.dst"], syn["out"]["tcp.dstport"]), (MASQUERADE, HOST2, "8080"))
            for side in ("in", "out"):
                self.assertRegex(syn[side]["frame.comment"], rf"^forward web/{HOST2}:8080, worker [01], shard \d+")
            self.assertEqual((syn["in"]["frame.packet_flags_direction"], syn["out"]["frame.packet_flags_direction"]), ("0x00000001", "0x00000002"))

            refused = next(one for one in pairs if one["in"].get("tcp.dstport") == "81")
            self.assertRegex(refused["in"]["frame.comment"], "^reply no_service: no service on this port of the VIP")
            self.assertEqual((refused["out"]["ip.dst"], refused["out"]["tcp.srcport"]), (CLIENT, "81"))

            asked = [one for one in pairs if one["in"].get("udp.dstport") == "7" or one["in"].get("udp.srcport") == "7"]
            self.assertEqual([one["out"]["ip.dst"] for one in asked], [HOST4, CLIENT])
            ping = next(one for one in pairs if one["in"].get("ip.proto") == "1")
            self.assertEqual((ping["in"]["frame.comment"].split(",")[0], ping["out"]["ip.dst"]), ("reply", CLIENT))

            said = lab.gateway.run("capinfos", "-c", "-E", "-I", path).stdout
            self.assertRegex(said, r"Name = tun0 in(.|\n)*Number of stat entries = 1(.|\n)*Name = tun0 out(.|\n)*Number of stat entries = 1")
            gateway.wait_for_log(rf"a capture begins: all packets(.|\n)*a capture has ended: {captured} packets, 0 lost")

    @case.vipgate_only
    def test_super_packets_and_replay(self):
        with self.running("--seed", "1") as (lab, gateway):
            os.makedirs(lab.path("www"), exist_ok=True)
            with open(lab.path("www/large"), "wb") as file:
                file.write(os.urandom(2_000_000))
            path = lab.path("large.pcapng")
            child = self.start(lab, gateway, "--write", path, "--service", "web")
            lab.client.run("curl", "-sS", "-m", 20, "-o", "/dev/null", f"http://{VIP}/large")
            captured, lost = self.end(child)
            self.assertEqual(lost, 0)
            packets = packets_of(path)
            self.check_whole(packets)
            large = [one for one in packets if int(one["frame.len"]) > 10_000]
            self.assertTrue(large, "the TUN carries super-packets")
            for one in large:
                self.assertRegex(one["frame.comment"], r"super-packet of \d+ segments of \d+ bytes")

            done = lab.gateway.run(binary(), "replay", "--config", gateway.config_path, "--json", path)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            summary = lines[-1]["summary"]
            self.assertEqual(summary["packets"], len(packets))
            self.assertEqual(summary["drop"], 0, summary)
            # What it has sent itself is recognised: to the backend, or back to the client from the VIP.
            self.assertEqual((summary["own_output"], summary["forward"]), (captured, captured), summary)

            short = lab.path("short.pcapng")
            child = self.start(lab, gateway, "--write", short, "--snaplen", "64")
            lab.client.run("curl", "-sS", "-m", 20, "-o", "/dev/null", f"http://{VIP}/large")
            self.end(child)
            packets = packets_of(short)
            self.assertEqual(max(int(one["frame.cap_len"]) for one in packets), 64)
            self.assertGreater(max(int(one["frame.len"]) for one in packets), 10_000)

    @case.vipgate_only
    def test_filters(self):
        with self.running() as (lab, gateway):
            wanted = {
                "drop": ("--verdict", "drop"),
                "refused": ("--reason", "no_service"),
                "echo": ("--service", "echo"),
                "backend": ("--backend", f"{HOST2}:8080"),
                "port": ("--port", "8080"),
                "nobody": ("--address", "10.9.9.0/24"),
            }
            seen = {}
            for names in (("drop", "refused", "echo"), ("backend", "port", "nobody")):
                running = {name: self.start(lab, gateway, "--write", lab.path(name), *wanted[name]) for name in names}
                self.traffic(lab)
                for name, child in running.items():
                    captured, _ = self.end(child)
                    seen[name] = sides_of(packets_of(lab.path(name)))
                    self.assertEqual(len(seen[name]), captured)
            self.assertEqual((seen["drop"], seen["nobody"]), ([], []))
            self.assertEqual([one["in"]["tcp.dstport"] for one in seen["refused"]], ["81"])
            self.assertEqual(len(seen["echo"]), 2)
            self.assertGreater(len(seen["backend"]), 6)
            self.assertEqual({one["in"]["frame.comment"].split(",")[0] for one in seen["port"]}, {f"forward web/{HOST2}:8080"})

            child = self.start(lab, gateway, "--protocol", "icmp", "--packets", "2", "--write", lab.path("icmp"))
            lab.client.run("ping", "-c", "3", "-i", "0.2", VIP)
            self.assertEqual(self.end(child, number=None), (2, 0))
            child = self.start(lab, gateway, "--seconds", "0.3", "--write", "-")
            child.stdout.read()
            self.end(child, number=None)
            for words, message in ((("--verdict", "x"), "verdict=x.*not understood"), (("--snaplen", "64"), "--write"),
                                   (("--write", "/nowhere/x"), "cannot write /nowhere/x")):
                said = gateway.command("capture", *words)
                self.assertNotEqual(said.returncode, 0)
                self.assertRegex(said.stderr + said.stdout, message)

    @case.vipgate_only
    def test_lines(self):
        with self.running() as (lab, gateway):
            child = self.start(lab, gateway, "--service", "web")
            lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}/id/1")
            refused = self.start(lab, gateway, "--port", "81", "--packets", "1")
            lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}:81/", check=False)
            self.end(refused, number=None)
            self.assertRegex(refused.stdout.read().decode(),
                             rf"^\d\d:\d\d:\d\d\.\d{{6}} tcp {CLIENT}:\d+ > {VIP}:81 S seq .* => tcp {VIP}:81 > {CLIENT}:\d+ RA "
                             r".*  reply no_service: no service on this port of the VIP\n$")
            captured, _ = self.end(child)
            lines = child.stdout.read().decode().splitlines()
            self.assertEqual(len(lines), captured)
            self.assertRegex(lines[0], rf" > {VIP}:80 S .* => tcp {MASQUERADE}:\d+ > {HOST2}:8080 S .*  forward web/{HOST2}:8080$")
            on_terminal = lab.gateway.at_terminal(binary(), "capture", "--write", "-", "--config", gateway.config_path,
                                                  stdin=subprocess.DEVNULL, check=False)
            self.assertEqual(on_terminal.returncode, WRONG_INPUT)
            self.assertIn("nothing for a terminal", on_terminal.stdout)

    @case.vipgate_only
    def test_a_reader_that_stalls_harms_nobody(self):
        with self.running() as (lab, gateway):
            os.makedirs(lab.path("www"), exist_ok=True)
            with open(lab.path("www/large"), "wb") as file:
                file.truncate(case.scaled(200_000_000))
            child = self.start(lab, gateway, "--write", lab.path("stalled.pcapng"))
            child.send_signal(signal.SIGSTOP)
            lab.client.run("curl", "-sS", "-m", 100, "-o", "/dev/null", f"http://{VIP}/large")
            others = [self.start(lab, gateway, "--write", lab.path(f"other{i}")) for i in range(3)]
            fifth = gateway.command("capture")
            self.assertEqual(fifth.returncode, FAILED)
            self.assertIn("4 captures run already", fifth.stderr)
            self.traffic(lab)
            self.assertEqual(gateway.command("status").returncode, 0)
            for other in others:
                self.assertEqual(self.end(other)[1], 0)
            child.send_signal(signal.SIGCONT)
            captured, lost = self.end(child)
            self.assertGreater(lost, 0)
            self.assertGreater(captured, 0)
            self.check_whole(packets_of(lab.path("stalled.pcapng"), "-c", "2000"))
            said = lab.gateway.run("capinfos", "-c", lab.path("stalled.pcapng")).stdout
            self.assertRegex(said, r"Number of packets: +\d+")

            child = self.start(lab, gateway, "--write", lab.path("killed.pcapng"))
            child.kill()
            gateway.wait_for_log("(a capture has ended(.|\\n)*){5}")
            self.traffic(lab)

    @case.vipgate_only
    def test_reload_takeover_and_end(self):
        with self.running() as (lab, gateway):
            path = lab.path("reload.pcapng")
            child = self.start(lab, gateway, "--write", path)
            self.traffic(lab)
            changed = settings()
            changed["vips"][0]["services"][0]["name"] = "pages"
            gateway.reload(changed, "reloaded")
            self.traffic(lab)
            self.end(child)
            comments = " ".join(one["frame.comment"] for one in packets_of(path))
            self.assertIn("forward web/", comments)
            self.assertIn("forward pages/", comments)

            path = lab.path("takeover.pcapng")
            child = self.start(lab, gateway, "--write", path)
            self.traffic(lab)
            gateway.take_over()
            captured, lost = self.end(child, number=None)
            self.assertEqual((len(sides_of(packets_of(path))), lost), (captured, 0), "the file is whole")
            self.traffic(lab)

            path = lab.path("device.pcapng")
            child = self.start(lab, gateway, "--write", path)
            said = len(gateway.log())
            lab.gateway.ip("link delete tun0")
            gateway.wait_for_log("tun0 is back", said)
            self.traffic(lab)
            self.end(child)
            self.check_whole(packets_of(path))

            path = lab.path("end.pcapng")
            child = self.start(lab, gateway, "--write", path)
            self.traffic(lab)
            gateway.stop()
            captured, lost = self.end(child, number=None)
            self.assertEqual((len(sides_of(packets_of(path))), lost), (captured, 0), "the file is whole")
            gateway.start()

            path = lab.path("kill.pcapng")
            child = self.start(lab, gateway, "--write", path)
            self.traffic(lab)
            until("the packets are in the file", lambda: os.path.getsize(path) > 5000)
            gateway.kill()
            self.assertIn(b"was ended before the capture was", child.stderr.read())
            self.assertEqual(child.wait(PATIENCE), FAILED)
            self.check_whole(packets_of(path))
            gateway.start()


if __name__ == "__main__":
    case.main("tshark", "capinfos", "script", "ping")
