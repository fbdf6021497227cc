#!/usr/bin/python3
"""What an operator does to a running gateway: weights, ending flows, who may, and what clients of the control socket can spoil."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, servers
from lab.lab import HOSTS, VIP, Lab
from lab.vipgate import binary
from lab.waiting import until

HOST2, HOST3, HOST4 = HOSTS["host2"], HOSTS["host3"], HOSTS["host4"]
DONE, FAILED, WRONG_INPUT = 0, 1, 2  # exit codes
GROUP = 48123  # nobody's on this machine
NOBODY = 65534
MOST_CLIENTS = 32


def settings(**control):
    """Two web servers that take turns, and an echo service that answers datagrams."""
    web = config.service("web", 80, HOST2, 8080, balance="round_robin")
    web["backends"].append({"address": HOST3, "port": 8080})
    echo = config.service("echo", 7, HOST4, protocol="udp")
    whole = config.configuration(workers=2, offered=[web, echo])
    return {**whole, "control": control} if control else whole


def who_serves(lab, count=8):
    """The backends that answer so many connections, one after the other."""
    answers = (lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}/").stdout for _ in range(count))
    return [re.search("on ([0-9.]+):", answer)[1] for answer in answers]


def ask_on(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
    return connection.recv(4096)


def as_user(*words, user=NOBODY, group=NOBODY, groups=None):
    """The command as somebody else, perhaps with further groups."""
    further = "--clear-groups" if groups is None else f"--groups={groups}"
    return ["setpriv", f"--reuid={user}", f"--regid={group}", further, *words]


class Operate(case.Case):
    @contextlib.contextmanager
    def running(self, **control):
        with Lab() as lab:
            servers.web(lab, HOST2)
            servers.web(lab, HOST3)
            with self.gateway(lab, settings(**control)) as gateway:
                yield lab, gateway

    def said(self, gateway, *words, code=DONE):
        done = gateway.command(*words)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def connections(self, lab, stack, count=8):
        """Open connections to the web service, each with an answer read."""
        with lab.client.entered():
            opened = [stack.enter_context(socket.create_connection((VIP, 80), 5)) for _ in range(count)]
        for one in opened:
            self.assertIn(b"200 OK", ask_on(one))
        return opened

    @case.vipgate_only
    def test_weight(self):
        with self.running() as (lab, gateway), contextlib.ExitStack() as stack:
            opened = self.connections(lab, stack)
            self.assertEqual(set(who_serves(lab)), {HOST2, HOST3})
            name = f"web/{HOST3}:8080"
            self.assertEqual(self.said(gateway, "weight", name, "0"), f"{name} weight 0\n")
            self.assertEqual(set(who_serves(lab)), {HOST2})
            for one in opened:
                self.assertIn(b"200 OK", ask_on(one), "what is open goes on")
            self.assertIn("weight 0 by an operator (configured: 1)", self.said(gateway, "status"))

            self.said(gateway, "weight", name, "3")
            for how in ("at once", "after a reload", "after a restart", "after a take-over"):
                if how == "after a reload":
                    self.said(gateway, "reload")
                elif how == "after a restart":
                    gateway.stop()
                    gateway.start()
                elif how == "after a take-over":
                    gateway.take_over()
                served = who_serves(lab, 16)
                self.assertEqual((served.count(HOST2), served.count(HOST3)), (4, 12), how)
            backends = json.loads(self.said(gateway, "status", "--json"))["vips"][0]["services"][0]["backends"]
            self.assertEqual([(one["weight"], one.get("configured_weight")) for one in backends], [(1, None), (3, 1)])

            self.assertEqual(self.said(gateway, "weight", name, "default"), f"{name} weight as configured\n")
            self.assertEqual(set(who_serves(lab)), {HOST2, HOST3})
            self.assertNotIn("operator", self.said(gateway, "status"))
            for words in (("10.9.9.9", "5"), (name, "65536"), (name, "x"), (name, "-1"), (name,)):
                self.said(gateway, "weight", *words, code=WRONG_INPUT)

    @case.vipgate_only
    def test_ending_flows(self):
        with self.running() as (lab, gateway), contextlib.ExitStack() as stack:
            servers.echo(lab)
            opened = self.connections(lab, stack)
            with lab.client.entered():
                query = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            query.sendto(b"?", (VIP, 7))
            query.settimeout(5)
            query.recv(100)

            self.assertIn("Name a filter", gateway.command("flows", "--end").stderr)
            self.said(gateway, "flows", "--end", code=WRONG_INPUT)
            self.said(gateway, "flows", "--end", "--all", "--port", "80", code=WRONG_INPUT)
            self.said(gateway, "flows", "--all", code=WRONG_INPUT)
            self.said(gateway, "flows", "--end", "--limit", "5", "--port", "80", code=WRONG_INPUT)
            self.assertEqual(gateway.status()["flows"]["now"], 9)

            port = opened[0].getsockname()[1]
            self.assertEqual(self.said(gateway, "flows", "--end", "--port", str(port)), "1 flow ended\n")
            with self.assertRaises(ConnectionResetError):
                opened[0].recv(100)
            self.assertIn(b"200 OK", ask_on(opened[1]), "the others go on")

            said = self.said(gateway, "flows", "--end", "--service", "web", "--backend", f"{HOST3}:8080", "--json")
            self.assertIn(json.loads(said)["ended"], (3, 4))
            self.assertEqual(self.connections_of(lab, HOST3), 0, "its server was told, too")

            said = self.said(gateway, "flows", "--end", "--all", "--json")
            self.assertIn(json.loads(said)["ended"], (4, 5))
            for one in opened[1:]:
                with self.assertRaises(ConnectionResetError):
                    one.recv(100)
            self.assertEqual(gateway.status()["flows"]["now"], 0)
            self.assertEqual(self.connections_of(lab, HOST2), 0)
            self.assertEqual(gateway.status()["counters"]["flows_ended"], 9)
            query.sendto(b"?", (VIP, 7))
            self.assertEqual(query.recv(100), b"?", "the next datagram begins another flow")

    def connections_of(self, lab, address):
        """Connections that a server has at its end."""
        with lab.hosts[address].entered(), open("/proc/thread-self/net/tcp") as table:
            return sum(line.split()[3] == "01" for line in table.readlines()[1:])

    @case.vipgate_only
    def test_many_flows_end_while_packets_go_on(self):
        count = case.scaled(4000)
        with self.running() as (lab, gateway), contextlib.ExitStack() as stack:
            servers.echo(lab)
            with lab.client.entered():
                sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                for port in range(count):
                    sender.close()
                    sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sender.bind(("", 20000 + port))
                    sender.sendto(b"?", (VIP, 7))
            opened = self.connections(lab, stack)
            until("all flows", lambda: gateway.status()["flows"]["now"] >= count)
            with lab.gateway.start(binary(), "flows", "--end", "--protocol", "udp", "--json", "--config", gateway.config_path,
                                   stdout=subprocess.PIPE) as ending:
                while ending.poll() is None:
                    self.assertIn(b"200 OK", ask_on(opened[0]))
                self.assertEqual(json.loads(ending.stdout.read())["ended"], count)
            self.assertEqual(gateway.status()["flows"]["now"], len(opened))

    @case.vipgate_only
    def test_who_may(self):
        with self.running(group=GROUP) as (lab, gateway):
            path = lab.path("state/control.sock")
            found = os.stat(path)
            self.assertEqual((found.st_mode & 0o777, found.st_gid), (0o660, GROUP))
            words = (binary(), "drain", HOST3, "--config", gateway.config_path)
            back = (binary(), "undrain", HOST3, "--config", gateway.config_path)
            for who in ({"group": GROUP}, {"groups": f"1,{GROUP},2"}, {"groups": ",".join(str(one) for one in (*range(70000, 70200), GROUP))},
                        {"user": 0, "group": 0}):
                for one in (words, back):
                    done = lab.gateway.run(*as_user(*one, **who), check=False)
                    self.assertEqual(done.returncode, DONE, done.stderr)
            for who in ({}, {"groups": "1,2"}):
                done = lab.gateway.run(*as_user(*words, **who), check=False)
                self.assertEqual(done.returncode, FAILED)
                self.assertRegex(done.stderr, "Permission denied: only root, the gateway's own user and the members of control.group")
            os.chmod(path, 0o666)  # somebody has meddled: the kernel lets them connect, and the gateway asks who they are
            done = lab.gateway.run(*as_user(*words), check=False)
            self.assertEqual(done.returncode, WRONG_INPUT)
            self.assertIn("only root", done.stderr)
            self.assertEqual({one["state"] for one in gateway.status()["vips"][0]["services"][0]["backends"]}, {"up"})

    @case.vipgate_only
    def test_the_group_of_the_configuration(self):
        with self.running() as (lab, gateway):
            self.assertEqual(os.stat(lab.path("state/control.sock")).st_mode & 0o777, 0o600)
            done = lab.gateway.run(*as_user(binary(), "status", "--config", gateway.config_path, group=GROUP), check=False)
            self.assertEqual(done.returncode, FAILED, "without control.group nobody else may")
            gateway.write(settings(group="no-such-group"))
            place = r"vipgate.json:\d+:\d+: \"group\": no group is called \"no-such-group\""
            for word in ("reload", "check"):
                done = gateway.command("reload") if word == "reload" else lab.gateway.run(
                    binary(), "check", gateway.config_path, check=False)
                self.assertEqual(done.returncode, WRONG_INPUT)
                self.assertRegex(done.stderr, place)
            gateway.write(settings(group="daemon"))
            done = gateway.command("reload")
            self.assertRegex(done.stderr, "only a new start can change control.group")
            gateway.stop()
            os.chmod(lab.path("state"), 0o700)
            gateway.start()
            self.assertEqual(os.stat(lab.path("state/control.sock")).st_gid, 1)
            self.assertRegex(gateway.log(), "warning: members of group 1, control.group, do not get through .*/state .*chmod o\\+x")

    @contextlib.contextmanager
    def stalling(self, lab, path, user, count, says):
        """So many connections to the socket, as a user; each has said something and says no more. Ends with them closed."""
        script = (f"import contextlib, socket, sys\nclients = []\nfor _ in range({count}):\n"
                  f"    one = socket.socket(socket.AF_UNIX)\n    one.connect({path!r})\n    clients.append(one)\n"
                  f"    with contextlib.suppress(BrokenPipeError):\n        one.sendall({says!r})\n"
                  f"print('ready', flush=True)\nsys.stdin.read()\n")
        with lab.gateway.start(*as_user("/usr/bin/python3", "-c", script, **user), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            yield process
            process.stdin.close()

    @case.vipgate_only
    def test_fault25_stalled_and_flooding_clients_harm_nobody(self):
        with self.running(group=GROUP) as (lab, gateway), contextlib.ExitStack() as stack:
            path = lab.path("state/control.sock")
            opened = self.connections(lab, stack)
            member = as_user(binary(), "status", "--config", gateway.config_path, group=GROUP)
            for says in (b"", b"GET /v1/sta", b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
                         b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{"):
                with self.stalling(lab, path, {"group": GROUP}, 5 * MOST_CLIENTS, says):
                    for _ in range(3):
                        self.assertEqual(gateway.command("status").returncode, DONE, "root gets in")
                        self.assertEqual(lab.gateway.run(*member, check=False).returncode, DONE, "and so does who asks at once")
                    self.assertIn(b"200 OK", ask_on(opened[0]))
            flood = ("import contextlib, socket\nprint('ready', flush=True)\nwhile True:\n    with contextlib.suppress(OSError), "
                     f"socket.socket(socket.AF_UNIX) as one:\n        one.connect({path!r})\n"
                     "        one.send(b'GET /v1/flows HTTP/1.1\\r\\n\\r\\n')\n")
            process = stack.enter_context(lab.gateway.start(*as_user("/usr/bin/python3", "-c", flood, group=GROUP), stdout=subprocess.PIPE))
            stack.callback(process.kill)
            process.stdout.readline()
            for _ in range(20):
                self.assertIn(b"200 OK", ask_on(opened[1]))
                done = gateway.command("status")
                self.assertEqual(done.returncode, DONE, done.stderr)
            self.assertIsNone(process.poll(), "it floods still")
            process.kill()
            self.assertEqual(set(who_serves(lab)), {HOST2, HOST3})

    @case.vipgate_only
    def test_fault25_who_trickles_is_let_go(self):
        with self.running() as (lab, _), socket.socket(socket.AF_UNIX) as slow:
            slow.connect(lab.path("state/control.sock"))
            slow.settimeout(0.3)

            def is_let_go():
                try:
                    slow.sendall(b"X")
                    return slow.recv(100) == b""
                except TimeoutError:
                    return False
                except (BrokenPipeError, ConnectionResetError):
                    return True

            slow.sendall(b"GET /v1/status HTTP/1.1\r\nX-Slow: ")
            until("it is served for ever", is_let_go)

    @case.vipgate_only
    def test_parts_of_the_status(self):
        with self.running() as (lab, gateway):
            who_serves(lab, 2)
            lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}:81/", check=False)

            def get(path):
                socket_ = lab.path("state/control.sock")
                return json.loads(lab.gateway.run("curl", "-sS", "--unix-socket", socket_, f"http://vipgate{path}").stdout)

            self.assertEqual([(one["vip"], one["name"]) for one in get("/v1/services")["services"]], [(VIP, "web"), (VIP, "echo")])
            self.assertEqual([(one["service"], one["name"], one["state"]) for one in get("/v1/backends")["backends"]],
                             [("web", f"{HOST2}:8080", "up"), ("web", f"{HOST3}:8080", "up"), ("echo", HOST4, "up")])
            worst = get("/v1/drops")["drops"][0]
            self.assertEqual((worst["reason"], worst["description"]), ("no_service", "no service on this port of the VIP"))
            self.assertGreater(worst["count"], 0)

    @case.vipgate_only
    def test_json_everywhere(self):
        with self.running() as (lab, gateway):
            name = f"web/{HOST3}:8080"

            def of(*words, code=DONE):
                return json.loads(self.said(gateway, *words, "--json", code=code))

            self.assertEqual(of("reload"), {"changes": []})
            self.assertEqual(of("drain", HOST3), {"backends": [name]})
            self.assertEqual(of("undrain", HOST3, ), {"backends": [name]})
            self.assertEqual(of("weight", name, "5"), {"backends": [name], "weight": 5})
            self.assertEqual(of("weight", name, "default"), {"backends": [name], "weight": None})
            self.assertEqual(of("standby"), {"standby": True})
            self.assertEqual(of("activate"), {"standby": False})
            self.assertEqual(of("flows", "--end", "--all"), {"ended": 0})
            self.assertIn("no backend is called", of("drain", "10.9.9.9", code=WRONG_INPUT)["error"])
            self.assertEqual(of("explain", f"tcp 198.51.100.7:1 > {VIP}:80")["verdict"], "forward")
            self.assertEqual(of("top", "--once", "--interval", "0.1")["backends"][0]["flows"], 0)

            def check():
                done = lab.gateway.run(binary(), "check", gateway.config_path, "--json", check=False)
                return done.returncode, json.loads(done.stdout)

            code, said = check()
            self.assertEqual((code, said["valid"], said["vips"][0]["services"][0]["name"]), (DONE, True, "web"))
            gateway.write('{\n  "tun": {} }')
            code, said = check()
            self.assertEqual((code, said["valid"], said["errors"][0]["line"]), (WRONG_INPUT, False, 1))
            words = (binary(), "reload", "--json", "--socket", lab.path("state/control.sock"))
            done = lab.gateway.run(*words, check=False)
            self.assertEqual(done.returncode, WRONG_INPUT)
            self.assertIn("vipgate.json:", json.loads(done.stdout)["details"][0])

    @case.vipgate_only
    def test_colours_only_on_a_terminal(self):
        with self.running() as (lab, gateway):
            self.said(gateway, "drain", HOST3)
            self.assertNotIn("\x1b", self.said(gateway, "status"))

            def at_a_terminal(**environment):
                return lab.gateway.at_terminal(binary(), "status", "--config", gateway.config_path,
                                               env={**os.environ, "TERM": "xterm", **environment}).stdout

            seen = at_a_terminal()
            self.assertIn("\x1b[32mup\x1b[0m", seen)
            self.assertIn("\x1b[33mdrained\x1b[0m", seen)
            self.assertNotIn("\x1b[3", at_a_terminal(NO_COLOR="1"))
            self.assertNotIn("\x1b[3", at_a_terminal(TERM="dumb"))


if __name__ == "__main__":
    case.main("script")
