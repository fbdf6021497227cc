#!/usr/bin/python3
"""A new process takes the place of the running gateway: no packet is lost or overtaken, and one that fails leaves the old one in charge."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from control import halted, thread_called
from lab import REPOSITORY, case, config, files, servers
from lab.lab import HOSTS, VIP, Lab
from lab.vipgate import Vipgate, binary
from lab.waiting import until
from restart import RATE as TRANSFER_RATE, Curl

HOST2, HOST4 = HOSTS["host2"], HOSTS["host4"]
SERVICES = [
    config.service("web", 80, HOST2, 8080),
    config.service("seen", 81, HOST2, 8080, source="preserve"),
    config.service("numbers", 9, HOST4, protocol="udp", source="preserve"),
    config.service("echo", 7, HOST4, protocol="udp"),
]
RATE = case.scaled(10_000)  # datagrams per second, of which a queue holds those of a second
FLOWS = 16
TAKE_OVERS = 5
QUEUE = 10_000  # packets


def settings(**options):
    return config.configuration(**{"offered": SERVICES, "workers": 2, **options})


class Stream:
    """Numbered datagrams from the client to a private host, through the gateway."""

    def __init__(self, lab):
        script = os.path.join(REPOSITORY, "tools/lab/numbered.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._receiver = lab.hosts[HOST4].start(sys.executable, script, "receive", HOST4, 9, **pipes)
        self._receiver.stdout.readline()
        self._sender = lab.client.start(sys.executable, script, "send", VIP, 9, FLOWS, RATE, **pipes)

    def finish(self):
        """How many were sent, received, and overtaken."""
        sent = json.loads(self._sender.communicate(timeout=20)[0])
        time.sleep(0.5)
        received = json.loads(self._receiver.communicate(timeout=60)[0])
        return sent["sent"], received["received"], received["late"]


def queue_length(lab):
    return int(lab.gateway.run("ip", "-o", "link", "show", "tun0").stdout.split("qlen ")[1].split()[0].rstrip("\\"))


def asks(lab, **changes):
    """A connection as a new process makes it, and the answer to what it says, with all that comes along."""
    with lab.gateway.entered():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(15)
    connection.connect("\0vipgate/takeover/tun0")
    said = {"protocol": 1, "flow_layout": 1, "state_dir": lab.path("state"), "max_flows": 0, **changes}
    connection.send(json.dumps(said).encode())
    text, descriptors, *_ = socket.recv_fds(connection, 8192, 64)
    return connection, text.decode(), descriptors


def answers(lab, count=20):
    """Whether so many datagrams come back."""
    with lab.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect((VIP, 7))
        for number in range(count):
            client.send(b"%d" % number)
            if client.recv(16) != b"%d" % number:
                return False
    return True


class Takeover(case.Case):
    @contextlib.contextmanager
    def running(self, **options):
        with Lab() as lab:
            servers.web(lab)
            servers.echo(lab)
            with self.gateway(lab, settings(**options)) as gateway:
                yield lab, gateway

    @case.vipgate_only
    def test_nothing_is_lost_or_overtaken(self):
        count = 2 * case.scaled(100)
        with self.running() as (lab, gateway):
            digest = files.write_random(lab.path("www/file"), 1_200_000)
            os.makedirs(lab.path("got"))
            names = [lab.path(f"got/{index}") for index in range(count)]
            ports = [80 + index % 2 for index in range(count)]
            transfers = Curl(lab.client, lab, "transfers", [
                f'url = "http://{VIP}:{port}/file?rate={TRANSFER_RATE}"\noutput = "{name}"' for port, name in zip(ports, names)])
            stream = Stream(lab)
            time.sleep(2)
            for _ in range(TAKE_OVERS):
                before = gateway.status()
                said = gateway.take_over()
                now = gateway.status()
                self.assertRegex(said, "took over [0-9]+ flows? .*had ended in order")
                self.assertGreaterEqual(now["counters"]["packets_read"], before["counters"]["packets_read"])
                self.assertGreaterEqual(now["uptime_seconds"], before["uptime_seconds"])
                self.assertGreater(now["generation"], before["generation"])
                self.assertNotEqual(now["pid"], before["pid"])
                opened = [one["vips"][0]["services"][0]["backends"][0]["flows_opened"] for one in (before, now)]
                self.assertEqual(opened, [count / 2] * 2)
                time.sleep(1.2)
            self.assertTrue(transfers.running(), "the transfers were over before the take-overs")
            sent, received, late = stream.finish()
            print(f"{received} of {sent} datagrams, {late} late ", end="", file=sys.stderr, flush=True)
            self.assertEqual((received, late), (sent, 0))
            self.assertEqual(transfers.finish(), "")
            self.assertEqual([name for name in names if files.sha256_at(name) != digest], [])
            self.assertEqual(queue_length(lab), QUEUE)

    @case.vipgate_only
    def test_with_other_workers_and_another_configuration(self):
        with self.running() as (lab, gateway):
            stream = Stream(lab)
            self.assertEqual(gateway.command("drain", HOST2).returncode, 0)
            self.assertEqual(gateway.command("standby").returncode, 0)
            for workers in (1, 4, 3):
                gateway.write(settings(workers=workers, offered=[*SERVICES, config.service("more", 90 + workers, HOST2, 8080)]))
                gateway.take_over()
                now = gateway.status()
                self.assertEqual(len(now["workers"]), workers)
                self.assertTrue(now["standby"])
                self.assertEqual(now["vips"][0]["services"][0]["backends"][0]["state"], "drained")
                self.assertEqual(now["vips"][0]["services"][-1]["port"], [str(90 + workers)])
                time.sleep(1.5)
            self.assertTrue(answers(lab))
            sent, received, late = stream.finish()
            print(f"{received} of {sent} datagrams, {late} late ", end="", file=sys.stderr, flush=True)
            self.assertEqual(received, sent)

    @case.vipgate_only
    def test_without_a_gateway_it_starts_as_usual(self):
        with Lab() as lab:
            servers.echo(lab)
            with self.gateway(lab, settings(), kind=lambda *words: Vipgate(*words, arguments=["--takeover"])) as gateway:
                self.assertIn("no gateway runs on tun0 to be taken over: starting as usual", gateway.log())
                self.assertTrue(answers(lab))

    @case.vipgate_only
    def test_fault_7_a_new_process_that_fails(self):
        """The old one stays in charge, and no datagram is lost: bad configuration, a conflict, a socket that cannot be made."""
        with self.running() as (lab, gateway):
            lab.gateway.ip("link add other type veth peer name end", "link set other up", "route add 203.0.113.64/29 dev other")
            stream = Stream(lab)
            time.sleep(0.5)
            conflict = settings()
            conflict["tun"]["subnet"] = [conflict["tun"]["subnet"], "203.0.113.64/29"]
            no_socket = {**settings(), "control": {"socket": "/proc/none/control.sock"}}
            other_size = {**settings(), "flows": {"max": 1 << 12}}
            for wanted, code, says in (("{", 2, "vipgate.json:1"), (conflict, 1, "203.0.113.64/29"), (no_socket, 1, "cannot make the control socket"),
                                       (other_size, 1, "cannot change flows.max")):
                gateway.write(wanted)
                ended, said = gateway.fail_to_take_over()
                self.assertEqual(ended, code, said)
                self.assertIn(says, said)
                gateway.write(settings())
                gateway.wait_for_log("this one goes on|refused|:1:")
                self.assertTrue(answers(lab))
                self.assertEqual(gateway.status()["pid"], gateway.process.pid)
            time.sleep(1.2)
            self.assertEqual(queue_length(lab), QUEUE)
            sent, received, late = stream.finish()
            self.assertEqual((received, late), (sent, 0))
            lab.gateway.ip("link delete other")

    @case.vipgate_only
    def test_fault_7_a_new_process_that_dies_or_says_nothing(self):
        with self.running() as (lab, gateway):
            stream = Stream(lab)
            for last in ("yours", "go"):
                connection, text, descriptors = asks(lab)
                self.assertEqual(text, "yours")
                self.assertGreaterEqual(queue_length(lab), 10_000)
                if last == "go":
                    connection.send(b"ready")
                    self.assertEqual(connection.recv(16), b"go")
                connection.close()
                for descriptor in descriptors:
                    os.close(descriptor)
                gateway.wait_for_log("it has ended; this one goes on(.|\n)*it has ended; this one goes on" if last == "go" else "this one goes on")
                self.assertTrue(answers(lab))
            sent, received, late = stream.finish()
            self.assertEqual((received, late), (sent, 0))

            connection, text, descriptors = asks(lab)
            self.assertEqual(text, "yours")
            gateway.wait_for_log("said nothing for too long; this one goes on")
            self.assertTrue(answers(lab))
            self.assertEqual(connection.recv(16), b"", "it learns that it is not in charge")
            connection.close()
            for descriptor in descriptors:
                os.close(descriptor)
            gateway.take_over()

    @case.vipgate_only
    def test_fault_7_what_cannot_be_is_refused(self):
        with self.running() as (lab, gateway):
            for changes, why in (({"protocol": 2}, "speaks version 1 .* and the new one 2"), ({"flow_layout": 99}, "layout 99"),
                                 ({"state_dir": "/tmp"}, "cannot change flows.state_dir"), ({"max_flows": "x"}, "cannot be understood")):
                connection, text, descriptors = asks(lab, **changes)
                connection.close()
                self.assertRegex(text, f"refused .*{why}")
                self.assertEqual(descriptors, [])
            user = lab.gateway.run("setpriv", "--reuid", 65534, "--clear-groups", binary(), "run", "--takeover", "--config",
                                   self.readable_copy(gateway), check=False)
            self.assertEqual(user.returncode, 1)
            self.assertIn("is another user's", user.stderr)
            self.assertTrue(answers(lab))

    def readable_copy(self, gateway):
        copy = f"/tmp/vipgate-{os.getpid()}.json"
        with open(gateway.config_path) as original, open(copy, "w") as file:
            file.write(original.read())
        self.addCleanup(os.unlink, copy)
        return copy

    @case.vipgate_only
    def test_fault_22_a_stuck_worker(self):
        """The take-over is refused, within seconds, and the others work on."""
        with self.running() as (lab, gateway):
            with halted(thread_called(gateway.process, "vipgate-w1")):
                began = time.monotonic()
                code, said = gateway.fail_to_take_over()
                self.assertEqual(code, 1)
                self.assertRegex(said, "refuses to be taken over: .*stuck")
                self.assertLess(time.monotonic() - began, 10)
            gateway.wait_for_log("refused")
            self.assertTrue(answers(lab))
            until("the worker that goes on", lambda: not any(worker["stuck"] for worker in gateway.status()["workers"]))
            gateway.take_over()
            self.assertTrue(answers(lab))


if __name__ == "__main__":
    case.main()
