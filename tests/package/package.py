#!/usr/bin/python3
"""The Debian package: package.py BUILD_FOLDER. Built, looked at by lintian, installed, upgraded and purged, on a copy of this machine's
files that is thrown away."""

import contextlib
import glob
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.realpath(sys.argv.pop(1))
PROGRAMS = ("cpack", "dpkg-shlibdeps", "lintian", "unshare")
SKIPPED = 77
# What dpkg and adduser note of what they did.
NOTES = ("./var/lib/dpkg/", "./var/log/", "./var/cache/", "./etc/passwd-", "./etc/shadow-", "./etc/group-", "./etc/gshadow-", "./etc/.pwd.lock",
         "./var/lib/systemd/deb-systemd", "./etc/subuid-", "./etc/subgid-")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        run("cpack", "-G", "DEB", "-B", cls.folder, cwd=BUILD)
        (cls.package,) = glob.glob(f"{cls.folder}/*.deb")

    @contextlib.contextmanager
    def machine(self):
        """A function that runs a shell script on a copy of this machine, which goes on from one to the next."""
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
                yield lambda script: run("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "chroot", f"{folder}/root", "sh", "-ec",
                                         f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive\n{script}")
            finally:
                holder.stdin.close()
                holder.wait()
                holder.stdout.close()

    def test_lintian_finds_no_errors(self):
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", self.package], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_it_installs_upgrades_and_purges(self):
        with self.machine() as on:
            files = "find . -xdev ! -path './tmp/*' ! -path './root/*' ! -path './run/*' | sort"
            before = on(files)
            on("dpkg -i /root/package.deb")
            self.assertRegex(on("vipgate --version"), r"^vipgate [0-9.]+$")
            self.assertIn("vipgate", on("id vipgate"))
            on("vipgate check /usr/share/doc/vipgate/examples/vipgate.json")
            self.assertIn("vipgate - a user-space gateway", on("zcat /usr/share/man/man8/vipgate.8.gz | man -l - | cat"))
            self.assertEqual(on("cat /usr/share/vipgate/schema.json"), on("vipgate schema"))
            words = on("bash -c '. /usr/share/bash-completion/completions/vipgate; COMP_WORDS=(vipgate dr); COMP_CWORD=1; _vipgate; "
                       "echo ${COMPREPLY[@]}'")
            self.assertEqual(words, "drain\n")
            on("cp /usr/share/doc/vipgate/examples/vipgate.json /etc/vipgate/; dpkg -i /root/package.deb; test -e /etc/vipgate/vipgate.json")
            on("dpkg --remove vipgate; test -e /etc/vipgate/vipgate.json; ! test -e /usr/sbin/vipgate")
            on("dpkg --install /root/package.deb; dpkg --purge vipgate")
            left = [path for path in set(on(files).splitlines()) - set(before.splitlines()) if not path.startswith(NOTES)]
            self.assertEqual(left, [])
            self.assertEqual(on("getent passwd vipgate || echo nobody"), "nobody\n")

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
