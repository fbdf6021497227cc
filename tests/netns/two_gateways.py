#!/usr/bin/python3
"""Two gateways and keepalived: one serves the VIP, the other takes it over. Flows are not shared: what counts is when new connections work."""

import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import REPOSITORY, case, config, kernel, servers
from lab.lab import HOSTS
from lab.namespace import LabError, stop
from lab.pair import Pair
from lab.vipgate import Vipgate, binary

case.PROGRAMS = (*case.PROGRAMS, "keepalived")

VIP = "198.51.100.10"  # in the client's own network
MASQUERADE = "10.0.0.250"  # in the backends' own network
HOST2 = HOSTS["host2"]
EXAMPLES = os.path.join(REPOSITORY, "tools/examples")
PATIENCE = 90  # seconds until things are as they should be
GOAL = 4  # seconds that a change may take, on a machine that does nothing else


def configuration():
    return {
        "tun": {"subnet": f"{VIP}/32"},
        "masquerade": [{"address": MASQUERADE, "announce": {"arp": ["private"]}}],
        "vips": [{"address": VIP, "announce": {"arp": ["public"]}, "services": [config.service("web", 80, HOST2, 8080)]}],
    }


class Half:
    """One of the two, as a lab of its own for Vipgate."""

    def __init__(self, lab, name, namespace):
        self._lab, self._name = lab, name
        self.gateway = namespace
        os.makedirs(self.path("state"))
        self.vipgate = Vipgate(self, configuration(), ["--standby"])
        self.keepalived = None
        self.before = kernel.snapshot(namespace)

    def path(self, name):
        return self._lab.path(f"{self._name}-{name}")

    def start_keepalived(self):
        with open(f"{EXAMPLES}/keepalived.conf") as example, open(self.path("keepalived.conf"), "w") as own:
            own.write(example.read().replace("/etc/keepalived", EXAMPLES))
        surroundings = {**os.environ, "VIPGATE": binary(), "VIPGATE_CONFIG": self.vipgate.config_path,
                        "VIPGATE_VRRP_STATE": self.path("master")}
        files = [word for option in ("pid", "vrrp_pid") for word in (f"--{option}", self.path(option))]
        with open(self.path("keepalived.log"), "ab") as log:
            self.keepalived = self.gateway.start("keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file",
                                                 self.path("keepalived.conf"), *files, stdout=log, stderr=log, env=surroundings)

    def announces(self):
        return VIP in self.gateway.run("ip", "neigh", "show", "proxy").stdout

    def said(self):
        texts = []
        for name in ("vipgate.log", "keepalived.log"):
            if os.path.exists(self.path(name)):
                with open(self.path(name), errors="replace") as log:
                    texts.append(f"--- {self._name}'s {name}\n{log.read()[-3000:]}")
        return "\n".join(texts)


class Clients(threading.Thread):
    """New connections, one after the other: when was the last that worked, and when the first again?"""

    def __init__(self, namespace):
        super().__init__(daemon=True)
        self._namespace = namespace
        self._over = threading.Event()
        self._good = time.monotonic()
        self._longest = 0
        self.start()

    def run(self):
        while not self._over.is_set():
            done = self._namespace.run("curl", "-sS", "--fail", "-m", 0.3, f"http://{VIP}/", check=False)
            now = time.monotonic()
            if done.returncode == 0:
                self._longest, self._good = max(self._longest, now - self._good), now
            time.sleep(0.02)

    def gap_of(self, fail, settled):
        """The longest time without a connection that worked, from fail() until some time after settled()."""
        self._longest = 0
        fail()
        deadline = time.monotonic() + PATIENCE
        while not settled() or time.monotonic() - self._good > 0.5:
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        time.sleep(0.5)
        return self._longest

    def finish(self):
        self._over.set()
        self.join()


class TwoGateways(case.Case):
    def change(self, what, fail, now, other):
        gap = self.clients.gap_of(fail, lambda: now.announces() and not other.announces())
        if gap is None:
            raise LabError(f"{what}: the other gateway does not serve\n{now.said()}\n{other.said()}")
        self.gaps.append(f"{what} {gap:.1f} s")

    @case.vipgate_only
    def test_the_other_gateway_takes_over(self):
        self.gaps = []
        with Pair() as lab:
            for host in lab.hosts.values():
                host.ip("route delete default")
            lab.client.ip("route delete default")
            servers.web(lab)
            one, two = Half(lab, "first", lab.gateway), Half(lab, "second", lab.second)
            for half in (one, two):
                half.vipgate.start()
                self.assertFalse(half.announces(), "it stands by")
                self.assertEqual(half.vipgate.command("status", "--quiet").returncode, 3)
            one.start_keepalived()
            self.clients = Clients(lab.client)
            try:
                self.change("the first is alone", two.vipgate.status, one, two)
                two.start_keepalived()
                self.assertEqual(one.vipgate.command("status", "--quiet").returncode, 0)
                time.sleep(3)  # they have met
                self.assertTrue(one.announces() and not two.announces(), "the one that serves goes on")

                self.change("the program is killed", one.vipgate.kill, two, one)
                one.vipgate.start()
                time.sleep(3)
                self.assertTrue(two.announces() and not one.announces(), "who comes back waits")

                self.change("the backends' cable fails", lambda: two.gateway.ip("link set private down"), one, two)
                two.gateway.ip("link set private up")
                time.sleep(3)

                def dies():
                    one.gateway.ip("link set public down", "link set private down")
                    one.vipgate.kill()
                    one.keepalived.kill()

                def is_gone():
                    return two.announces()

                gap = self.clients.gap_of(dies, is_gone)
                self.assertIsNotNone(gap, f"nobody serves\n{two.said()}")
                self.gaps.append(f"the host dies {gap:.1f} s")

                def restarts():
                    two.vipgate.kill()
                    two.vipgate.start()  # faster than keepalived looks, and standing by

                self.change("the program is started anew", restarts, two, one)
            finally:
                self.clients.finish()
                for half in (one, two):
                    if half.keepalived:
                        stop(half.keepalived)
            two.vipgate.stop()
            self.assertEqual(kernel.difference(two.before, kernel.snapshot(two.gateway)), "", "left in the kernel")
            done = one.vipgate.command("clean")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertFalse(re.search("tun0", one.gateway.run("ip", "link").stdout))
        print(f"without service: {'; '.join(self.gaps)} (wanted: under {GOAL} s) ", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    case.main()
