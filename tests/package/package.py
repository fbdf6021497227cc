#!/usr/bin/python3
"""The Debian package: package.py BUILD_FOLDER. Built, looked at by lintian, installed, upgraded and purged, on a copy of this machine's
files that is thrown away."""

import contextlib
import glob
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import REPOSITORY, config, servers
from lab.lab import HOSTS, VIP, Lab

BUILD = os.path.realpath(sys.argv.pop(1))
PROGRAMS = ("cpack", "dpkg-shlibdeps", "ip", "lintian", "nginx", "setpriv", "systemd-analyze", "unshare")
SKIPPED = 77
PATIENCE = 30  # seconds
UNIT = os.path.join(REPOSITORY, "tools/package/vipgate.service")
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_NICE": 23, "CAP_BPF": 39}
EXPOSURE = 3.5  # of 10, as systemd-analyze counts; it was 3.1

# In place of systemd, which does not run here: what the package's scripts ask of it.
SYSTEMCTL = r"""#!/bin/sh
case "$*" in
  *is-active*) [ -d "/proc/$(cat /run/main)" ] ;;
  *"kill --kill-whom=main --signal=SIGUSR2 vipgate.service"*) kill -USR2 "$(cat /run/main)" ;;
  *daemon-reload*) ;;
  *) echo "$*" >>/run/unexpected ;;
esac
"""
# What dpkg and adduser note of what they did, and what programs put away for a while.
NOTES = ("./tmp", "./root", "./run", "./var/lib/dpkg/", "./var/log/", "./var/cache/", "./etc/passwd-", "./etc/shadow-", "./etc/group-", "./etc/gshadow-", "./etc/.pwd.lock",
         "./var/lib/systemd/deb-systemd", "./etc/subuid-", "./etc/subgid-")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Machine:
    """A copy of this one, which `holder` has in its mount namespace: what is changed there lies in `folder`/upper. `inside`: words ahead of
    each program."""

    def __init__(self, folder, holder, inside):
        self._folder = folder
        self._enter = (*inside, "nsenter", f"--mount=/proc/{holder.pid}/ns/mnt")

    def __call__(self, script):
        """Runs a shell script."""
        return run(*self._enter, "chroot", f"{self._folder}/root", "sh", "-ec",
                   f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive\n{script}")

    def additions(self):
        """What is there and not on this machine, but for notes."""
        changed = run(*self._enter, "sh", "-ec", f"cd {self._folder}/upper; find . ! -type c").splitlines()  # c: what was removed
        return [path for path in changed if not path.startswith(NOTES) and not os.path.lexists(f"/{path}")]


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        run("cpack", "-G", "DEB", "-B", cls.folder, cwd=BUILD)
        (cls.package,) = glob.glob(f"{cls.folder}/*.deb")

    @contextlib.contextmanager
    def machine(self, inside=()):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("upper", "work", "root"):
                os.mkdir(f"{folder}/{name}")
            # Not on this file system: an overlay cannot lie on what it covers.
            holder = subprocess.Popen(["unshare", "--mount", "sh", "-ec", f"""
                mount -t tmpfs none {folder}; mkdir {folder}/upper {folder}/work {folder}/root
                mount -t overlay none -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {folder}/root
                cp {self.package} {folder}/root/root/package.deb
                mount --bind /proc {folder}/root/proc; mount --bind /dev {folder}/root/dev
                echo ready; cat"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                self.assertEqual(holder.stdout.readline(), "ready\n")
                yield Machine(folder, holder, inside)
            finally:
                holder.stdin.close()
                holder.wait()
                holder.stdout.close()

    def test_lintian_finds_no_errors(self):
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", self.package], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_it_installs_upgrades_and_purges(self):
        with self.machine() as on:
            on("dpkg -i /root/package.deb")
            self.assertIn("./usr/sbin/vipgate", on.additions())
            self.assertRegex(on("vipgate --version"), r"^vipgate [0-9.]+$")
            self.assertIn("vipgate", on("id vipgate"))
            on("for file in $(find /usr/share/doc/vipgate/examples -name '*.json'); do vipgate check $file; done")
            json.loads(on("cat /usr/share/vipgate/grafana/vipgate.json"))
            self.assertIn("vipgate - a user-space gateway", on("zcat /usr/share/man/man8/vipgate.8.gz | man -l - | cat"))
            self.assertEqual(on("cat /usr/share/vipgate/schema.json"), on("vipgate schema"))
            words = on("bash -c '. /usr/share/bash-completion/completions/vipgate; COMP_WORDS=(vipgate dr); COMP_CWORD=1; _vipgate; "
                       "echo ${COMPREPLY[@]}'")
            self.assertEqual(words, "drain\n")
            on("cp /usr/share/doc/vipgate/examples/vipgate.json /etc/vipgate/; dpkg -i /root/package.deb; test -e /etc/vipgate/vipgate.json")
            on("dpkg --remove vipgate; test -e /etc/vipgate/vipgate.json; ! test -e /usr/sbin/vipgate")
            on("mkdir -p /dev/shm; : >/dev/shm/vipgate-run-vipgate.flows")  # of a gateway whose state folder is on a disk
            on("dpkg --install /root/package.deb; dpkg --purge vipgate; ! test -e /dev/shm/vipgate-run-vipgate.flows")
            self.assertEqual(on.additions(), [])
            self.assertEqual(on("getent passwd vipgate || echo nobody"), "nobody\n")

    def test_an_upgrade_loses_no_flow(self):
        # The gateway runs as the unit has it run; dpkg installs the package again, with a connection open.
        with open(UNIT) as file:
            unit = dict(re.findall(r"^(\w+)=(.*)$", file.read(), re.M))
        bounding = "-all," + ",".join("+" + word.removeprefix("CAP_").lower() for word in unit["AmbientCapabilities"].split())
        offered = [config.service("web", 80, HOSTS["host2"], 8080)]
        with Lab() as lab, self.machine(("ip", "netns", "exec", lab.gateway.name)) as on:
            servers.web(lab)
            on("mknod -m 666 /root/tun c 10 200; mount --bind /root/tun /dev/net/tun")  # as udev has it
            on("dpkg -i /root/package.deb; mount -t tmpfs none /run; mkdir -p /run/systemd/system; "
               f"install -d -o {unit['User']} -g {unit['Group']} /run/{unit['RuntimeDirectory']}")
            on(f"cat >/etc/vipgate/vipgate.json <<'END'\n{json.dumps(config.configuration(workers=2, offered=offered))}\nEND")
            on(f"cat >/usr/bin/systemctl.new <<'END'\n{SYSTEMCTL}END\nchmod 755 /usr/bin/systemctl.new; mv /usr/bin/systemctl.new /usr/bin/systemctl")
            on(f"umask 027; setsid setpriv --reuid={unit['User']} --regid={unit['Group']} --clear-groups --no-new-privs --bounding-set={bounding} "
               f"--inh-caps={bounding} --ambient-caps={bounding} sh -c 'echo $$; exec {unit['ExecStart']}' >/run/main 2>/run/log </dev/null &")
            try:
                first = self.pid_of_another(on, None)
                with open(f"/proc/{first}/status") as file:
                    held = re.search(r"^CapEff:\t(\w+)$", file.read(), re.M)[1]
                self.assertEqual(int(held, 16), sum(1 << CAPABILITIES[word] for word in unit["AmbientCapabilities"].split()))
                self.assertEqual(os.stat(f"/proc/{first}").st_uid, int(on("id -u vipgate")))
                with lab.client.entered(), socket.create_connection((VIP, 80), timeout=10) as connection:
                    for again in (True, False):
                        connection.sendall(b"GET /id/1 HTTP/1.1\r\nHost: vip\r\n\r\n")
                        self.assertIn(b"200 OK", connection.recv(4096))
                        if again:
                            on("dpkg -i /root/package.deb")
                            self.assertNotEqual(self.pid_of_another(on, first), first)
                self.assertEqual(on("cat /run/unexpected 2>/dev/null || true"), "")
            finally:
                with contextlib.suppress(AssertionError):  # it did not start
                    os.kill(self.pid_of_another(on, None), signal.SIGTERM)

    def pid_of_another(self, on, former):
        """Of the gateway that answers, as soon as it is another one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            said = on("vipgate status --json 2>/dev/null || true")
            if said and json.loads(said)["pid"] != former:
                return json.loads(said)["pid"]
            time.sleep(0.1)
        raise AssertionError("no gateway answers\n" + on("cat /run/log"))

    def test_systemd_finds_nothing_wrong_with_the_unit(self):
        with self.machine() as on:
            on("dpkg -i /root/package.deb")
            self.assertEqual(on("systemd-analyze verify /lib/systemd/system/vipgate.service 2>&1"), "")
            on(f"systemd-analyze security --offline=true --threshold={EXPOSURE * 10:.0f} /lib/systemd/system/vipgate.service")

    def test_the_manual_has_every_command_and_key(self):
        with tempfile.TemporaryDirectory() as folder:
            run("dpkg-deb", "-x", self.package, folder)
            commands = gzip.open(f"{folder}/usr/share/man/man8/vipgate.8.gz", "rt").read()
            for command in run(f"{folder}/usr/sbin/vipgate", "--help").split("Subcommands:\n")[1].splitlines():
                if command.startswith("  ") and command[2] != " ":
                    self.assertIn(f".SS {command.split()[0]}\n", commands)
            keys = gzip.open(f"{folder}/usr/share/man/man5/vipgate.json.5.gz", "rt").read()
            for key in ("tun.subnet", "vips[].services[].backends[].weight", "vips[].services[].health.path", "vips[].announce.arp",
                        "timeouts.udp_one_way", "control.http", "masquerade[].announce.arp"):
                self.assertIn(f".B {key}\n", keys)


if __name__ == "__main__":
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        print(f"skipped: needs {missing[0]}")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    unittest.main(verbosity=2)
