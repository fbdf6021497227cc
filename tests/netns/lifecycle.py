#!/usr/bin/python3
"""Start, reload, kill, restart, end: what is set up in the kernel, what goes on, and that nothing is left."""

import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, files, kernel, servers
from lab.lab import HOSTS, VIP, Lab
from lab.vipgate import Vipgate
from lab.waiting import until

WEB = config.service("web", 80, HOSTS["host2"], 8080)
OLD = config.service("old", 81, HOSTS["host2"], 8080)
NEW = config.service("new", 82, HOSTS["host2"], 8080)


def status(lab, port):
    """curl's exit code for a request to a port of the VIP."""
    return lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}:{port}/", check=False).returncode


def web_backend(status):
    return status["vips"][0]["services"][0]["backends"][0]


class Lifecycle(case.Case):
    def test_end_by_interrupt(self):
        with Lab() as lab, self.gateway(lab, config.configuration()) as gateway:
            gateway.end_signal = signal.SIGINT

    def test_kill_and_restart(self):
        with Lab() as lab:
            servers.web(lab)
            with self.gateway(lab, config.configuration(source="preserve", workers=2)) as gateway:
                self.assertEqual(status(lab, 80), 0)
                gateway.kill()
                gateway.write(config.configuration(workers=1))
                gateway.start()
                self.assertEqual(status(lab, 80), 0)

    def test_fault_1_device_deleted(self):
        """Somebody deletes the TUN, again and again: it is back within a second, with all that went with it, and transfers go on."""
        with Lab() as lab:
            servers.web(lab)
            digest = files.write_random(f"{lab.path('www')}/file", 48 << 20)
            with self.gateway(lab, config.configuration(source="preserve", workers=2)) as gateway:
                before = kernel.snapshot(lab.gateway)
                with self.slow_download(lab) as transfer:
                    read, opened = 0, 1
                    for _ in range(3):
                        self.assertEqual(status(lab, 80), 0)
                        said, began = len(gateway.log()), time.monotonic()
                        lab.gateway.run("ip", "link", "delete", "tun0")
                        said = gateway.wait_for_log("tun0 is back", said)
                        print(f"back after {1000 * (time.monotonic() - began):.0f} ms ", end="", file=sys.stderr, flush=True)
                        self.assertLess(time.monotonic() - began, 5)
                        self.assertRegex(said, "warning: .*(tun0 is gone|lost its TUN queue).*; it is made anew")
                        self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "")
                        now = gateway.status()
                        self.assertGreater(now["counters"]["packets_read"], read, "counters go on")
                        read = now["counters"]["packets_read"]
                        opened += 1
                        self.assertEqual(web_backend(now)["flows_opened"], opened)
                        until("each flow to be counted once", lambda: web_backend(gateway.status())["flows"], 1)  # the last request's ends, too
                    self.assertIsNone(transfer.poll(), "the transfer was over before the device")
                    self.assertEqual(files.sha256(transfer.stdout), digest)

    def test_fault_1_device_replaced(self):
        """Another device has the TUN's name before it can be made again: an end that says so, and nothing is left."""
        with Lab() as lab:
            before = kernel.snapshot(lab.gateway)
            gateway = Vipgate(lab, config.configuration(source="preserve", workers=2))
            gateway.start()
            gateway.process.send_signal(signal.SIGSTOP)
            lab.gateway.ip("link delete tun0", "link add tun0 type veth peer name tun1")
            gateway.process.send_signal(signal.SIGCONT)
            self.assertEqual(gateway.process.wait(10), 1)
            self.assertRegex(gateway.log(), "error: tun0 is a device of another kind")
            lab.gateway.ip("link delete tun0")  # it is there still
            self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "", "left in the kernel")

    def test_deleted_rules_return(self):
        """Another daemon deletes our rules and routes: they are back within a second or so, and the log says it."""
        with Lab() as lab:
            servers.web(lab)
            with self.gateway(lab, config.configuration(source="preserve")) as gateway:
                before, said = kernel.snapshot(lab.gateway), len(gateway.log())
                for _ in range(3):
                    lab.gateway.run("ip", "rule", "delete", "protocol", "86")
                lab.gateway.run("ip", "route", "delete", f"{VIP}/32")
                gateway.wait_for_log("warning: rule 101: .* put back", said)
                until("all of them", lambda: kernel.difference(before, kernel.snapshot(lab.gateway)), "")
                self.assertEqual(status(lab, 80), 0)

    def test_existing_settings_return(self):
        """A host that forwards and filters by return path does so afterwards too."""
        with Lab() as lab:
            servers.web(lab)
            lab.gateway.sysctl("net/ipv4/ip_forward", 1)
            lab.gateway.sysctl("net/ipv4/conf/all/rp_filter", 2)
            with self.gateway(lab, config.configuration(source="preserve")):
                self.assertEqual(status(lab, 80), 0)
                self.assertEqual(lab.gateway.run("curl", "-sS", "-m", 20, f"http://{VIP}/", check=False).returncode, 0)

    def test_reload(self):
        """A transfer of a service that stays goes on; another service comes, one goes."""
        with Lab() as lab:
            servers.web(lab)
            digest = files.write_random(f"{lab.path('www')}/file", 32 << 20)
            with self.gateway(lab, config.configuration(offered=[WEB, OLD])) as gateway:
                self.assertEqual([status(lab, port) for port in (80, 81, 82)], [0, 0, 7])
                with self.slow_download(lab) as transfer:
                    gateway.reload(config.configuration(offered=[WEB, NEW]), says="reload")
                    self.assertEqual([status(lab, port) for port in (80, 81, 82)], [0, 7, 0])
                    self.assertIsNone(transfer.poll(), "the transfer was over before the reload")
                    self.assertEqual(files.sha256(transfer.stdout), digest)

    def test_bad_reload_changes_nothing(self):
        with Lab() as lab:
            servers.web(lab)
            digest = files.write_random(f"{lab.path('www')}/file", 32 << 20)
            with self.gateway(lab, config.configuration(offered=[WEB, OLD])) as gateway:
                before = kernel.snapshot(lab.gateway)
                with self.slow_download(lab) as transfer:
                    said = gateway.reload('{\n  "vips": [ }\n}\n', says=re.escape(gateway.config_path))
                    self.assertRegex(said, re.escape(gateway.config_path) + r":2:\d+: ")
                    self.assertEqual([status(lab, port) for port in (80, 81, 82)], [0, 0, 7])
                    self.assertIsNone(transfer.poll(), "the transfer was over before the reload")
                    self.assertEqual(files.sha256(transfer.stdout), digest)
                self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "")

    def slow_download(self, lab):
        """A transfer that has begun and takes some seconds."""
        transfer = lab.client.start("curl", "-sS", "--max-time", "30", f"http://{VIP}/file?rate=8m", stdout=subprocess.PIPE)
        transfer.stdout.peek(1)
        return transfer


if __name__ == "__main__":
    case.main()
