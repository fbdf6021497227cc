#!/usr/bin/python3
"""As systemd runs it: an unprivileged user with the unit's capabilities and nothing else, told by sd_notify, upgraded by SIGUSR2."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import REPOSITORY, case, config, servers
from lab.lab import HOSTS, VIP, Lab
from lab.namespace import stop
from lab.vipgate import Vipgate, binary
from lab.waiting import until

NOBODY = 65534
# Where udev does not run, root alone may open the device.
EVERYBODYS_TUN = ["unshare", "--mount", "sh", "-ec", "mount -t tmpfs none /mnt; mknod -m 666 /mnt/tun c 10 200; "
                  "mount --bind /mnt/tun /dev/net/tun; exec \"$@\"", "sh"]
PATIENCE = 20


def capabilities():
    """Those of the unit, as setpriv writes them."""
    with open(os.path.join(REPOSITORY, "tools/package/vipgate.service")) as unit:
        words = re.search(r"^AmbientCapabilities=(.*)$", unit.read(), re.M)[1].split()
    return ",".join("+" + word.removeprefix("CAP_").lower() for word in words)


class Systemd:
    """The part of systemd that a service of Type=notify sees."""

    def __init__(self, lab):
        self.path = lab.path("notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self._socket.settimeout(0.2)

    def close(self):
        self._socket.close()

    def before(self):
        """The words ahead of ExecStart."""
        bounding = "-all," + capabilities()
        return [*EVERYBODYS_TUN, "env", f"NOTIFY_SOCKET={self.path}", "WATCHDOG_USEC=10000000", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                "--clear-groups", "--no-new-privs", f"--bounding-set={bounding}", f"--inh-caps={bounding}", f"--ambient-caps={bounding}"]

    def hear(self, seconds):
        """What was said in so many seconds."""
        said = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                said.append(self._socket.recv(4096).decode())
        return said

    def wait_for(self, words):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                if (said := self._socket.recv(4096).decode()).startswith(words):
                    return said
        raise AssertionError(f"systemd was not told {words}")


class Service(case.Case):
    @contextlib.contextmanager
    def running(self, **health):
        with Lab() as lab, contextlib.closing(Systemd(lab)) as systemd:
            servers.web(lab)
            os.chmod(lab.path(""), 0o777)
            program = lab.path("program")
            shutil.copy(binary(), program)
            os.chmod(program, 0o755)
            web = config.service("web", 80, HOSTS["host2"], 8080, **health)
            gateway = Vipgate(lab, config.configuration(workers=2, offered=[web]), before=systemd.before())
            state = lab.path("state")
            os.makedirs(state, exist_ok=True)
            os.chown(state, NOBODY, NOBODY)
            gateway.program = program
            try:
                gateway.start()
                yield lab, gateway, systemd, program
            except Exception:
                print(f"\n--- the gateway's log\n{gateway.log()[-4000:]}\n---", file=sys.stderr)
                raise
            finally:
                stop(gateway.process)

    @case.vipgate_only
    def test_it_runs_with_the_units_capabilities_alone(self):
        with self.running(health="ping") as (lab, gateway, systemd, _):
            self.assertEqual(systemd.wait_for("READY=1"), f"READY=1\nMAINPID={gateway.process.pid}")
            with open(f"/proc/{gateway.process.pid}/status") as status:
                self.assertIn(f"\nUid:\t{NOBODY}\t", status.read())
            self.assertEqual(lab.client.run("curl", "-sS", "-m", 20, "-o", "/dev/null", f"http://{VIP}/").returncode, 0)
            for _ in range(2):
                systemd.wait_for("WATCHDOG=1")
            self.assertNotRegex(gateway.log(), "warning:|error:", "all that it wants to do, it can")
            gateway.stop()
            systemd.wait_for("STOPPING=1")

    @case.vipgate_only
    def test_an_upgrade_replaces_the_program_and_loses_nothing(self):
        with self.running() as (lab, gateway, systemd, program):
            systemd.wait_for("READY=1")
            with lab.client.entered(), socket.create_connection((VIP, 80)) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
                self.assertIn(b"200 OK", connection.recv(4096))
                old = gateway.process
                said = len(gateway.log())
                shutil.copy(binary(), program + ".new")
                os.rename(program + ".new", program)  # as dpkg does
                old.send_signal(signal.SIGUSR2)
                main = int(re.search(r"MAINPID=(\d+)", systemd.wait_for("READY=1"))[1])
                self.assertNotEqual(main, old.pid)
                self.assertEqual(old.wait(PATIENCE), 0)
                self.assertEqual(os.readlink(f"/proc/{main}/exe"), program)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
                self.assertIn(b"200 OK", connection.recv(4096), "the connection goes on")
            self.assertIn("is started, to take over", gateway.log()[said:])
            systemd.wait_for("WATCHDOG=1")  # of the new one
            self.assertNotIn("STOPPING=1", systemd.hear(0.5))
            os.kill(main, signal.SIGTERM)
            systemd.wait_for("STOPPING=1")
            until("its end", lambda: not os.path.exists(f"/proc/{main}/exe"))

    @case.vipgate_only
    def test_a_program_that_does_not_run_leaves_the_old_one(self):
        with self.running() as (lab, gateway, systemd, program):
            systemd.wait_for("READY=1")
            with open(program + ".new", "w") as file:
                file.write("#!/bin/false\n")
            os.chmod(program + ".new", 0o755)
            os.rename(program + ".new", program)
            gateway.process.send_signal(signal.SIGUSR2)
            gateway.wait_for_log("is started, to take over")
            systemd.wait_for("WATCHDOG=1")
            self.assertEqual(lab.client.run("curl", "-sS", "-m", 20, "-o", "/dev/null", f"http://{VIP}/").returncode, 0)


if __name__ == "__main__":
    case.main("setpriv")
