#!/usr/bin/python3
"""What stops a start: each cause with a message of its own, the right exit code, and nothing left in the kernel."""

import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, kernel, servers
from lab.lab import SUBNET, VIP, Lab
from lab.vipgate import READY, binary

FAILED, WRONG_INPUT = 1, 2
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")


class Refusals(case.Case):
    def refused(self, lab, exit_code, message, *before, path=None):
        """Starts vipgate, behind the words of `before`, and expects it to end with this exit code and a matching message."""
        if path is None:
            path = lab.path("good.json")
            with open(path, "w") as file:
                json.dump(config.placed(lab, config.configuration()), file)
        snapshot = kernel.snapshot(lab.gateway)
        done = lab.gateway.run(*before, f"{self.folder}/{os.path.basename(binary())}", "run", "--config", path, check=False, timeout=20)
        self.assertRegex(done.stderr, message)
        self.assertEqual(done.returncode, exit_code, done.stderr)
        self.assertNotRegex(done.stderr, READY)
        self.assertEqual(kernel.difference(snapshot, kernel.snapshot(lab.gateway)), "", "left in the kernel")

    def lab(self):
        """A lab, and a copy of the program that anybody may run."""
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vg-"))
        os.chmod(self.folder, 0o755)
        shutil.copy(binary(), self.folder)
        return self.enterContext(Lab())

    def wrong_configuration(self, text, message):
        lab = self.lab()
        path = lab.path("wrong.json")
        with open(path, "w") as file:
            file.write(text)
        self.refused(lab, WRONG_INPUT, re.escape(path) + message, path=path)

    @case.vipgate_only
    def test_no_root(self):
        self.refused(self.lab(), FAILED, "(?i)root|CAP_NET_ADMIN", *NOBODY)

    @case.vipgate_only
    def test_no_real_time(self):
        """Refused where it is asked for, else only told."""
        lab = self.lab()
        path = lab.path("realtime.json")
        settings = config.placed(lab, config.configuration())
        with open(path, "w") as file:
            json.dump({**settings, "tun": {**settings["tun"], "scheduling": "realtime"}}, file)
        ordinary = ("prlimit", "--rtprio=0:0", "setpriv", "--bounding-set=-sys_nice")
        self.refused(lab, FAILED, "real-time .*CAP_SYS_NICE", *ordinary, path=path)
        self.refused(lab, FAILED, "wait their turn .*CAP_SYS_NICE(.|\\n)*CAP_NET_ADMIN", *ordinary[:-1], "--bounding-set=-sys_nice,-net_admin")

    @case.vipgate_only
    def test_no_tun_device(self):
        hide = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh")
        self.refused(self.lab(), FAILED, "/dev/net/tun", *hide)

    @case.vipgate_only
    def test_name_taken_by_another_device(self):
        lab = self.lab()
        lab.gateway.ip("link add tun0 type bridge")
        self.refused(lab, FAILED, "tun0")

    @case.vipgate_only
    def test_name_taken_by_a_single_queue_tun(self):
        lab = self.lab()
        lab.gateway.ip("tuntap add dev tun0 mode tun")
        self.refused(lab, FAILED, "tun0.*(?i:queue)")

    @case.vipgate_only
    def test_name_taken_by_a_running_gateway(self):
        lab = self.lab()
        servers.web(lab)
        with self.gateway(lab, config.configuration()):
            self.refused(lab, FAILED, "tun0")
            self.assertIn("greets", lab.client.run("curl", "-sS", f"http://{VIP}/").stdout)

    @case.vipgate_only
    def test_subnet_routed_elsewhere(self):
        lab = self.lab()
        lab.gateway.ip(f"route add {SUBNET} via 10.0.0.4")
        self.refused(lab, FAILED, re.escape(SUBNET))

    @case.vipgate_only
    def test_wider_route_is_no_conflict(self):
        lab = self.lab()
        servers.web(lab)
        lab.gateway.ip("route add 203.0.113.0/24 via 10.0.0.4")
        with self.gateway(lab, config.configuration()):
            self.assertIn("greets", lab.client.run("curl", "-sS", f"http://{VIP}/").stdout)

    @case.vipgate_only
    def test_no_configuration(self):
        lab = self.lab()
        self.refused(lab, WRONG_INPUT, "absent.json", path=lab.path("absent.json"))

    @case.vipgate_only
    def test_configuration_is_a_folder(self):
        lab = self.lab()
        self.refused(lab, WRONG_INPUT, re.escape(lab.scratch), path=lab.scratch)

    @case.vipgate_only
    def test_configuration_may_not_be_read(self):
        lab = self.lab()
        path = lab.path("secret.json")
        with open(path, "w") as file:
            json.dump(config.placed(lab, config.configuration()), file)
        os.chmod(path, 0o600)
        self.refused(lab, WRONG_INPUT, re.escape(path) + ".*(?i:permission)", *NOBODY, path=path)

    @case.vipgate_only
    def test_malformed(self):
        self.wrong_configuration('{\n  "vips": [ }\n}\n', r":2:\d+: ")

    @case.vipgate_only
    def test_empty(self):
        self.wrong_configuration("", r":1:1: ")

    @case.vipgate_only
    def test_unknown_key(self):
        text = json.dumps(config.configuration(), indent=2).replace('"workers"', '"wrokers"')
        line = text[:text.index("wrokers")].count("\n") + 1
        self.wrong_configuration(text, rf":{line}:\d+: .*wrokers")

    @case.vipgate_only
    def test_all_errors_at_once(self):
        text = json.dumps(config.configuration(), indent=2).replace('"workers"', '"wrokers"').replace(f'"{VIP}"', '"1.2.3"')
        self.wrong_configuration(text, r":\d+:\d+: .*wrokers(.|\n)*:\d+:\d+: .*1\.2\.3")


if __name__ == "__main__":
    case.main()
