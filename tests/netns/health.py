#!/usr/bin/python3
"""Backends that die, come back, and flap: checks of every kind, what the data path sees itself, and what becomes of clients."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, files, servers
from lab.lab import HOSTS, VIP, Lab
from lab.namespace import stop
from lab.waiting import PATIENCE, until

FIRST, SECOND, THIRD = HOSTS.values()
URL = f"http://{VIP}"
TABLE = 186
QUICK = {"interval": "200ms", "timeout": "200ms"}
REFUSED = 7  # curl's exit code
NO_NEW_CONNECTIONS = "tcp dport 8080 tcp flags syn / syn,ack reject with tcp reset"


def service(name, port, *addresses, target=8080, health=None, **keys):
    """A service in turn by all these hosts, so that a few requests reach each."""
    backends = [{"address": address, "port": target} for address in addresses]
    if keys.get("protocol", "tcp") == "tcp":
        keys = {"balance": "round_robin", **keys}
    return {**config.service(name, port, None, **keys), "backends": backends, "health": health or QUICK}


def served_by(lab, count=8):
    """The hosts that answer so many connections; None for each that nobody answers."""
    answers = (lab.client.run("curl", "-sS", "-m", 20, f"{URL}/", check=False).stdout for _ in range(count))
    return {(re.search("on ([0-9.]+):", answer) or [None, None])[1] for answer in answers}


@contextlib.contextmanager
def transfers(lab, count, seconds):
    """Downloads that take about so long; each must have come whole at the end."""
    digest = files.write_random(f"{lab.path('www')}/file", 1 << 20)
    rate = (1 << 20) // seconds
    children = [lab.client.start("curl", "-sS", "-m", "60", f"{URL}/file?rate={rate}", stdout=subprocess.PIPE) for _ in range(count)]
    for child in children:
        child.stdout.peek(1)
    yield
    for child in children:
        with child:
            assert files.sha256(child.stdout) == digest, "a transfer came to harm"


class Health(case.Case):
    @contextlib.contextmanager
    def running(self, *offered, web=(), vip=None):
        """A gateway, and nginx on these hosts, by address."""
        with Lab() as lab:
            self.nginx = {address: servers.web(lab, address) for address in web}
            settings = config.configuration(workers=2, offered=offered)
            settings["vips"][0].update(vip or {})
            with self.gateway(lab, settings) as self.running_gateway:
                yield lab

    def end(self, address):
        stop(self.nginx.pop(address))

    def begin(self, lab, address):
        self.nginx[address] = servers.web(lab, address)

    def backends(self):
        """What the status says, by service and address."""
        services = self.running_gateway.status()["vips"][0]["services"]
        return {(one["name"], backend["address"]): backend for one in services for backend in one["backends"]}

    def states(self, name="web"):
        return [backend["state"] for (of, _), backend in self.backends().items() if of == name]

    def wait_for_check(self):
        """Until each has been checked: what is only assumed to be up is down with the first failed check."""
        until("a check of each", lambda: all(one.get("health", {}).get("checks", 1) for one in self.backends().values()))

    @case.vipgate_only
    def test_a_backend_ends_and_comes_back(self):
        with self.running(service("web", 80, *HOSTS.values()), web=HOSTS.values()) as lab:
            self.wait_for_check()
            self.assertEqual(served_by(lab), set(HOSTS.values()))
            self.running_gateway.command("drain", FIRST)  # the transfers are the others'
            with transfers(lab, 4, 6):
                self.running_gateway.command("undrain", FIRST)
                self.end(FIRST)
                until("the states", self.states, ["down", "up", "up"])
                self.assertEqual(served_by(lab), {SECOND, THIRD})
                health = self.backends()["web", FIRST]["health"]
                self.assertEqual((health["state"], health["result"]), ("down", "connection refused"))
                self.assertGreaterEqual(health["failures"], 3)
                self.assertRegex(self.running_gateway.command("status").stdout, rf"{FIRST}:8080 +down .*connection refused .*checks failed")
                self.begin(lab, FIRST)
                until("the states", self.states, ["up", "up", "up"])
                self.assertEqual(served_by(lab), set(HOSTS.values()))
            self.running_gateway.wait_for_log(rf"warning: backend web/{FIRST}:8080 is down: connection refused, after \d+ failed checks")
            self.running_gateway.wait_for_log(rf"backend web/{FIRST}:8080 is up again: connected, after")

    @case.vipgate_only
    def test_drained_and_down(self):
        """Both are told, and drained stays drained; so does a check that a reload leaves alone."""
        offered = service("web", 80, FIRST, SECOND)
        with self.running(offered, web=[FIRST]) as lab:
            until("the states", self.states, ["up", "down"])
            self.running_gateway.command("drain", SECOND)
            said = self.backends()["web", SECOND]
            self.assertEqual((said["state"], said["health"]["state"]), ("drained", "down"))
            checks = said["health"]["checks"]
            self.running_gateway.reload(config.configuration(workers=2, offered=[offered, service("more", 81, FIRST)]), "reloaded")
            self.assertGreaterEqual(self.backends()["web", SECOND]["health"]["checks"], checks)
            self.running_gateway.command("drain", FIRST)
            self.end(FIRST)
            until("the state", lambda: self.backends()["web", FIRST]["health"]["state"], "down")
            until("nobody to serve", lambda: self.running_gateway.status()["vips"][0]["served"], False)  # drained ones that are down
            self.begin(lab, FIRST)
            self.running_gateway.command("undrain", FIRST)
            self.running_gateway.command("undrain", SECOND)
            until("the states", self.states, ["up", "down"])
            self.assertEqual(served_by(lab), {FIRST})
            self.running_gateway.reload(config.configuration(workers=2, offered=[{**offered, "health": "none"}]), "reloaded")
            self.assertEqual(self.states(), ["up", "up"], "nothing is known of it any more")
            self.assertNotIn("health", self.backends()["web", SECOND])

    @case.vipgate_only
    def test_what_is_known_outlives_the_process(self):
        """A host falls silent. Neither a restart nor a take-over sends clients there until a check has timed out again."""
        offered = service("web", 80, FIRST, SECOND, health={"interval": "3s", "timeout": "3s", "fall": 1})
        with self.running(offered, web=[FIRST, SECOND]) as lab:
            lab.hosts[SECOND].run("nft", "add table ip dead; add chain ip dead in { type filter hook input priority 0; policy drop; }")
            until("the states", self.states, ["up", "down"])

            def begins():
                self.assertEqual(self.states(), ["up", "down"])
                self.assertEqual(served_by(lab, 4), {FIRST})

            self.running_gateway.kill()
            self.running_gateway.start()
            begins()
            self.running_gateway.take_over()
            begins()
            self.running_gateway.kill()
            lab.hosts[SECOND].run("nft", "delete table ip dead")
            self.running_gateway.start()
            until("the first passed check, which is enough,", self.states, ["up", "up"], patience=2.5)

    @case.vipgate_only
    def test_what_clients_meet_speeds_it_up(self):
        with self.running(service("web", 80, FIRST, SECOND, health={"interval": "10m", "fall": 2}), web=[FIRST, SECOND]) as lab:
            self.wait_for_check()
            self.end(SECOND)
            until("clients that are refused", lambda: served_by(lab, 4), {FIRST})
            self.assertEqual(self.states(), ["up", "down"])

    @case.vipgate_only
    def test_fault9_all_down(self):
        """Clients are told so, the VIP is neither announced nor answers ping; all of it is back with the first backend."""
        vip = {"announce": {"route_table": TABLE}, "ping": "healthy"}
        with self.running(service("web", 80, FIRST, SECOND), web=[FIRST, SECOND], vip=vip) as lab:
            def announced():
                return VIP in lab.gateway.run("ip", "route", "show", "table", TABLE, check=False).stdout

            def answers_ping():
                return lab.client.run("ping", "-c", 1, "-W", 1, VIP, check=False).returncode == 0

            self.wait_for_check()
            self.assertTrue(announced())
            until("an answer to ping", answers_ping)
            self.end(FIRST)
            until("the states", self.states, ["down", "up"])
            self.assertTrue(announced(), "one is left")
            until("an answer to ping", answers_ping)
            self.end(SECOND)
            until("the announcement's end", announced, False)
            self.assertEqual(self.states(), ["down", "down"])
            self.assertEqual(lab.client.run("curl", "-sS", "-m", 20, URL, check=False).returncode, REFUSED)
            self.assertFalse(answers_ping())
            self.assertEqual(self.running_gateway.command("status", "--quiet").returncode, 1)
            self.assertEqual(self.running_gateway.status()["counters"]["reasons"]["no_backend"], 1)
            self.begin(lab, SECOND)
            until("the announcement", announced)
            self.assertEqual(served_by(lab, 4), {SECOND}, "from the first one on")
            until("an answer to ping", answers_ping)

    @case.vipgate_only
    def test_checks_of_each_kind(self):
        """Three services of one host, each with a check that can be made to fail alone."""
        kinds = {
            "page": {"type": "http", "path": "/well", "host": "vip.example", "status": 200},
            "host": {"type": "ping"},
            "script": {"type": "exec", "command": ["/bin/sh", "-c", 'test -e "$0-$VIPGATE_ADDRESS-$VIPGATE_PORT-$VIPGATE_SERVICE"']},
        }
        with Lab() as lab:
            servers.web(lab, FIRST)
            page, note = f"{lab.path('www')}/well", f"{lab.path('alive')}-{FIRST}-8080-script"
            kinds["script"]["command"].append(lab.path("alive"))
            offered = [service(name, port, FIRST, health={**QUICK, **kind}, source=source)
                       for port, (source, (name, kind)) in enumerate(zip(("masquerade", "preserve", "masquerade"), kinds.items()), 80)]

            def ignore_pings(yes):
                lab.hosts[FIRST].sysctl("net/ipv4/icmp_echo_ignore_all", int(yes))

            def file_at(path, there):
                if there:
                    files.write_random(path, 1)
                else:
                    os.remove(path)

            switches = {"page": lambda well: file_at(page, well), "host": lambda well: ignore_pings(not well),
                        "script": lambda well: file_at(note, well)}
            reasons = {"page": "HTTP status 404", "host": "no echo reply after 200ms", "script": "exit code 1"}
            file_at(page, True)
            file_at(note, True)
            with self.gateway(lab, config.configuration(offered=offered)) as self.running_gateway:
                self.wait_for_check()
                for name, switch in switches.items():
                    switch(False)
                    expected = {other: ["down" if other == name else "up"] for other in switches}
                    until(name, lambda: {one: self.states(one) for one in switches}, expected)
                    until(name, lambda: self.backends()[name, FIRST]["health"]["result"], reasons[name])
                    switch(True)
                    until(name, lambda: self.states(name), ["up"])

    @case.vipgate_only
    def test_fault8_a_backend_flaps(self):
        """It is not trusted for a while, its transfers and those of the other go on, and the log stays short."""
        with self.running(service("web", 80, FIRST, SECOND, health={**QUICK, "rise": 1, "fall": 1}), web=[FIRST, SECOND]) as lab:
            host = lab.hosts[SECOND]
            host.run("nft", "add table ip flap; add chain ip flap in { type filter hook input priority 0; }")
            self.wait_for_check()
            with transfers(lab, 6, 10):
                said = len(self.running_gateway.log())
                for _ in range(8):
                    host.run("nft", f"add rule ip flap in {NO_NEW_CONNECTIONS}")
                    time.sleep(0.5)
                    host.run("nft", "flush chain ip flap in")
                    time.sleep(0.5)
                until("the state", lambda: self.backends()["web", SECOND]["health"]["state"], "held")
                self.assertEqual(self.states(), ["up", "down"])
                self.assertEqual(served_by(lab), {FIRST})
            lines = [line for line in self.running_gateway.log()[said:].splitlines() if "backend" in line]
            self.assertLessEqual(len(lines), 8, "\n".join(lines))
            self.assertRegex("\n".join(lines), "it flaps, and is not trusted for")

    @case.vipgate_only
    def test_udp_moves_at_once(self):
        """Two of three hosts have the port closed: ICMP says so, and clients that were theirs get their answers elsewhere."""
        offered = service("echo", 7, *HOSTS.values(), target=7, protocol="udp", health="none")
        with self.running(offered) as lab, contextlib.ExitStack() as stack:
            servers.echo(lab, THIRD)
            with lab.client.entered():
                clients = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(30)]
            answered = set()
            deadline = time.monotonic() + PATIENCE
            while len(answered) < len(clients):
                self.assertLess(time.monotonic(), deadline, f"{len(answered)} of {len(clients)} are answered")
                for one in clients:
                    one.sendto(b"?", (VIP, 7))
                time.sleep(0.1)
                for number, one in enumerate(clients):
                    with contextlib.suppress(BlockingIOError):
                        one.recv(16, socket.MSG_DONTWAIT)
                        answered.add(number)
            self.assertEqual(self.states("echo"), ["down", "down", "up"])
            self.assertIn("ICMP says that nobody is there", self.running_gateway.log())

    @case.vipgate_only
    def test_connections_of_a_backend_that_dies(self):
        """A host falls silent: its connections stay, or end with a RST, as the service says."""
        with self.running(service("kept", 80, FIRST), service("reset", 81, FIRST, on_backend_down="reset"), web=[FIRST]) as lab:
            self.wait_for_check()
            with lab.client.entered():
                kept, reset = (socket.create_connection((VIP, port), 5) for port in (80, 81))
            with kept, reset:
                lab.hosts[FIRST].run("nft", "add table ip dead; add chain ip dead in { type filter hook input priority 0; policy drop; }")
                reset.settimeout(PATIENCE)
                with self.assertRaises(ConnectionResetError):
                    reset.recv(1)
                until("the state", lambda: self.states("kept"), ["down"])
                self.assertIn("no connection after 200ms", self.backends()["kept", FIRST]["health"]["result"])
                lab.hosts[FIRST].run("nft", "delete table ip dead")
                kept.sendall(b"GET / HTTP/1.0\r\n\r\n")
                kept.settimeout(5)
                self.assertIn(b"200 OK", kept.recv(4096))


if __name__ == "__main__":
    case.main()
