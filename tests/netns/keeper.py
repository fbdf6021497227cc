#!/usr/bin/python3
"""The process that keeps the TUN's queues while there is no gateway."""

import contextlib
import os
import signal
import socket
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, servers
from lab.lab import HOSTS, VIP, Lab
from lab.vipgate import Vipgate
from lab.waiting import until

NULL, TUN = (1, 3), (10, 200)  # Linux, Documentation/admin-guide/devices.txt
ECHO = config.service("echo", 7, HOSTS["host4"], protocol="udp")


def settings(workers):
    return config.configuration(offered=[ECHO], workers=workers)


def keepers(lab):
    """The processes that hold the device's queues while there is no gateway."""
    pids = lab.gateway.run("ip", "netns", "pids", lab.gateway.name).stdout.split()
    found = []
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as name:
            if name.read().strip() == "vipgate-keeper":
                found.append(int(pid))
    return found


def keeper_of(lab):
    """The one that there is, as soon as it has its name."""
    (keeper,) = until("a keeper", lambda: keepers(lab))
    return keeper


def carrier(lab):
    """1 or 0: whether somebody has the device's queues open."""
    return 0 if "NO-CARRIER" in lab.gateway.run("ip", "link", "show", "tun0").stdout else 1


def udp_socket(namespace):
    with namespace.entered():
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(20)
    udp.connect((VIP, 7))
    return udp


class Keeper(case.Case):
    @case.vipgate_only
    def test_fault_5_a_keeper_holds_carrier_and_packets(self):
        """While there is no gateway, the device is as it was, and datagrams wait for the next one."""
        with Lab() as lab:
            servers.echo(lab)
            with self.gateway(lab, settings(workers=2)) as gateway, udp_socket(lab.client) as client:
                for workers in (2, 1, 3):
                    client.send(b"before")
                    self.assertEqual(client.recv(16), b"before")
                    keeper = keeper_of(lab)
                    gateway.kill()
                    self.assertEqual(carrier(lab), 1)
                    self.assertEqual(keepers(lab), [keeper])
                    for number in range(5):
                        client.send(b"%d" % number)
                    gateway.write(settings(workers=workers))
                    gateway.start()
                    self.assertRegex(gateway.log(), f"took over tun0 with {workers} queue")
                    self.assertEqual(keepers(lab), [keeper], "there is one, and it stays")
                    if workers != 1:  # a queue that is not wanted any more takes its packets with it
                        self.assertEqual(sorted(client.recv(16) for _ in range(5)), [b"%d" % number for number in range(5)])
                    client.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        while client.recv(16):
                            pass
                    client.settimeout(20)
                self.assertEqual(self.held_by(lab, keeper), [NULL] * 3 + [TUN] * 3)
            self.assertEqual(keepers(lab), [], "it leaves with a gateway that ends in order")

    def held_by(self, lab, keeper):
        """What devices the process has open, by number: a path is another one in a changed root."""
        with open(f"/proc/{keeper}/maps") as maps:
            self.assertNotIn("flows", maps.read())
        held = [os.stat(f"/proc/{keeper}/fd/{number}") for number in os.listdir(f"/proc/{keeper}/fd")]
        return sorted((os.major(file.st_rdev), os.minor(file.st_rdev)) for file in held if not stat.S_ISSOCK(file.st_mode))

    @case.vipgate_only
    def test_a_keeper_without_gateways_leaves(self):
        with Lab() as lab:
            gateway = Vipgate(lab, settings(workers=2))
            gateway.start()
            gateway.kill()
            keeper_of(lab)
            began = time.monotonic()
            while keepers(lab) and time.monotonic() - began < 60:
                time.sleep(0.2)
            self.assertEqual(keepers(lab), [])
            self.assertGreater(time.monotonic() - began, 25)
            self.assertEqual(carrier(lab), 0)
            gateway.start()
            gateway.stop()

    @case.vipgate_only
    def test_a_killed_keeper_is_replaced(self):
        with Lab() as lab, self.gateway(lab, settings(workers=2)) as gateway:
            keeper = keeper_of(lab)
            gateway.kill()
            os.kill(keeper, signal.SIGKILL)
            gateway.start()
            self.assertNotEqual(keeper_of(lab), keeper)


if __name__ == "__main__":
    case.main()
