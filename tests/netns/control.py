#!/usr/bin/python3
"""The commands for a running gateway: status, reload, drain; and what becomes of it when its watchers or workers hang."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, servers
from lab.lab import HOSTS, VIP, Lab
from lab.vipgate import Vipgate, binary
from lab.waiting import until

HOST2, HOST3 = HOSTS["host2"], HOSTS["host3"]
FAILED, WRONG_INPUT = 1, 2  # exit codes
ESTABLISHED = 1  # of TCP_INFO
WAIT_ALL = 0x40000000  # __WALL: threads, too


def two_webs():
    """One service, two backends. Round robin: both get flows."""
    web = config.service("web", 80, HOST2, 8080, balance="round_robin")
    web["backends"].append({"address": HOST3, "port": 8080})
    return config.configuration(workers=2, offered=[web])


def who_serves(lab, count=8):
    """The backends that answer so many connections."""
    answers = (lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}/").stdout for _ in range(count))
    return {re.search("on ([0-9.]+):", answer)[1] for answer in answers}


def who_serves_on(connection):
    """The backend at the other end of an open connection."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
    return re.search(rb"on ([0-9.]+):", connection.recv(4096))[1].decode()


def connections(lab, count):
    """How many of so many connections come about in a second."""
    with contextlib.ExitStack() as stack, lab.client.entered():
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.setblocking(False)
            one.connect_ex((VIP, 80))

        def established():
            return sum(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED for one in sockets)

        until("the first connections", established)
        time.sleep(1)
        return established()


def web_at(address):
    return lambda lab: servers.web(lab, address)


@contextlib.contextmanager
def halted(thread):
    """Keeps one thread of a process from running, as a bug or a frozen processor would."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    seize, interrupt, detach = 0x4206, 0x4207, 17

    def ptrace(request):
        if libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    ptrace(seize)
    ptrace(interrupt)
    os.waitpid(thread, WAIT_ALL)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            ptrace(detach)


def thread_called(process, name):
    """Waits until a thread has the name: each gives itself its own."""

    def search():
        for thread in os.listdir(f"/proc/{process.pid}/task"):
            with open(f"/proc/{process.pid}/task/{thread}/comm") as comm:
                if comm.read().strip() == name:
                    return int(thread)
        return None

    return until(f"a thread {name}", search)


class Control(case.Case):
    @contextlib.contextmanager
    def running(self, settings, *servers_):
        with Lab() as lab:
            for server in servers_:
                server(lab)
            with self.gateway(lab, settings) as gateway:
                yield lab, gateway

    def test_status(self):
        with self.running(config.configuration(), servers.web) as (lab, gateway):
            with lab.client.entered(), socket.create_connection((VIP, 80)):
                status = gateway.status()
                self.assertEqual(status["flows"]["now"], 1)
            self.assertGreater(status["counters"]["packets_read"], 2)
            self.assertEqual(status["vips"][0]["address"], VIP)
            self.assertEqual([one["name"] for one in status["vips"][0]["services"]],
                             [one["name"] for one in config.services()])
            said = gateway.command("status")
            self.assertEqual(said.returncode, 0)
            self.assertIn(f"VIP {VIP}", said.stdout)

    def test_without_a_gateway(self):
        with Lab() as lab:
            absent = Vipgate(lab, config.configuration())
            for words in (("status",), ("reload",), ("drain", HOST2)):
                said = absent.command(*words)
                self.assertEqual(said.returncode, FAILED)
                self.assertRegex(said.stderr, "no gateway answers at .*control.sock")
            absent.write("{")
            self.assertEqual(absent.command("status").returncode, WRONG_INPUT)

    def test_fault2_reload(self):
        with self.running(config.configuration(), servers.web) as (lab, gateway):
            settings = config.configuration()
            settings["vips"][0]["services"][0]["port"] = 8000
            gateway.write(settings)
            said = gateway.command("reload")
            self.assertEqual((said.returncode, said.stdout), (0, "reloaded\n  web: port changed\n"))
            self.assertEqual(gateway.command("reload").stdout, "reloaded; nothing changed\n")
            gateway.write('{\n  "tun": {} }')
            said = lab.gateway.run(binary(), "reload", "--socket", lab.path("state/control.sock"),
                                   check=False)
            self.assertEqual(said.returncode, WRONG_INPUT)
            self.assertRegex(said.stderr, r"vipgate.json:2:10: .*\n(.*\n)*.*the running configuration stays")
            self.assertEqual(lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}:8000/id/1").returncode, 0)

    def test_drain(self):
        with self.running(two_webs(), web_at(HOST2), web_at(HOST3)) as (lab, gateway), contextlib.ExitStack() as stack:
            self.assertEqual(who_serves(lab), {HOST2, HOST3})
            with lab.client.entered():
                open_ones = [stack.enter_context(socket.create_connection((VIP, 80), 5)) for _ in range(4)]
            before = [who_serves_on(one) for one in open_ones]
            self.assertEqual(set(before), {HOST2, HOST3})

            said = gateway.command("drain", HOST3)
            self.assertEqual((said.returncode, said.stdout), (0, f"web/{HOST3}:8080 takes no new flow\n"))
            self.assertEqual(who_serves(lab), {HOST2})
            self.assertEqual([who_serves_on(one) for one in open_ones], before, "what is open goes on")
            states = {one["address"]: one["state"] for one in gateway.status()["vips"][0]["services"][0]["backends"]}
            self.assertEqual(states, {HOST2: "up", HOST3: "drained"})

            with lab.gateway.start(binary(), "drain", HOST3, "--wait", "--config", gateway.config_path,
                                   stdout=subprocess.PIPE) as waiting:
                self.assertRegex(waiting.stdout.readline() + waiting.stdout.readline(), b"2 flows left")
                for one in open_ones:
                    one.close()
                self.assertEqual(waiting.wait(10), 0)

            gateway.stop()
            gateway.start()
            self.assertEqual(who_serves(lab), {HOST2}, "drained still, after a restart")
            self.assertEqual(gateway.reload(two_webs(), "reloaded").count("error"), 0)
            self.assertEqual(who_serves(lab), {HOST2}, "and after a reload")
            self.assertEqual(gateway.command("undrain", f"web/{HOST3}:8080").returncode, WRONG_INPUT, "it is drained everywhere")
            self.assertEqual(gateway.command("undrain", HOST3).returncode, 0)
            self.assertEqual(who_serves(lab), {HOST2, HOST3})
            said = gateway.command("drain", "10.9.9.9")
            self.assertEqual(said.returncode, WRONG_INPUT)
            self.assertIn("no backend is called '10.9.9.9'", said.stderr)

    def test_fault22_a_worker_is_stuck(self):
        with self.running(config.configuration(workers=2), servers.web) as (lab, gateway):
            stuck = thread_called(gateway.process, "vipgate-w1")
            said = len(gateway.log())
            with halted(stuck):
                gateway.wait_for_log("warning: worker 1 is stuck", said)
                self.assertEqual([one["stuck"] for one in gateway.status()["workers"]], [False, True])
                self.assertIn("worker 1 IS STUCK", gateway.command("status").stdout)
                self.assertGreater(connections(lab, 64), 0, "those whose packets all are the other worker's")
            gateway.wait_for_log("warning: worker 1 answers again", said)
            self.assertEqual(len(who_serves(lab)), 1)

    def test_fault22_a_stuck_worker_does_not_hold_up_the_end(self):
        with self.running(config.configuration(workers=2), servers.web) as (_, gateway):
            stuck = thread_called(gateway.process, "vipgate-w1")
            with halted(stuck):
                gateway.process.send_signal(signal.SIGTERM)
                gateway.wait_for_log("stuck .*ends with the process", 0)
                os.waitpid(stuck, WAIT_ALL)  # until then the process could not be seen to end
            self.assertEqual(gateway.process.wait(5), 0)
            self.assertRegex(gateway.log(), "warning: worker 1 is stuck .*ends with the process")
            gateway.start()
            self.assertIn("was killed", gateway.log(), "flows are as after a kill")

    def test_fault25_nobody_reads_the_log(self):
        """The log is a pipe that is full: packets, commands and the gateway's end do not wait for it."""
        with Lab() as lab:
            servers.web(lab)
            gateway = Vipgate(lab, config.configuration())
            gateway.start()
            gateway.stop()
            reading, writing = os.pipe()
            with os.fdopen(reading, "rb", 0) as log:
                with os.fdopen(writing, "wb", 0) as end:
                    process = lab.gateway.start(binary(), "run", "--config", gateway.config_path, stdin=-3, stderr=end)
                    os.set_blocking(end.fileno(), False)
                    while b"ready" not in (said := log.read(4096)):
                        self.assertNotEqual(said, b"", "it ended")
                    while end.write(bytes(4096)) is not None:
                        pass
                    os.set_blocking(end.fileno(), True)
                for _ in range(3):
                    self.assertEqual(gateway.command("reload").returncode, 0)
                self.assertEqual(len(who_serves(lab)), 1)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(10), 0)


if __name__ == "__main__":
    case.main()
