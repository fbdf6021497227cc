#!/usr/bin/python3
"""FTP through a VIP: data connections in every way that one can be asked for, by curl, lftp, and by hand."""

import contextlib
import ftplib
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, files, servers
from lab.lab import CLIENT, HOSTS, VIP

case.PROGRAMS = (*case.PROGRAMS, "lftp", "vsftpd")

MIB = 1 << 20
URL = f"ftp://{VIP}"
PASSIVE = ("--no-ftp-skip-pasv-ip",)  # curl by itself uses the address it knows
WAYS = {
    "EPSV": PASSIVE,
    "PASV": (*PASSIVE, "--disable-epsv"),
    "EPRT": ("--ftp-port", "-"),
    "PORT": ("--ftp-port", "-", "--disable-eprt"),
}
LFTP_WAYS = {
    "EPSV": "set ftp:passive-mode on; set ftp:prefer-epsv on",
    "PASV": "set ftp:passive-mode on; set ftp:prefer-epsv off",
    "PORT": "set ftp:passive-mode off",
}


def curl(lab, *arguments):
    return lab.client.run("curl", "-sS", "--fail", "--max-time", 100, *arguments).stdout


class Ftp(case.Case):
    @contextlib.contextmanager
    def ftp(self, offload=True, **options):
        """A network with an FTP server behind the VIP, and a file on it."""
        offered = [config.service("ftp", 21, HOSTS["host3"], helper="ftp")]
        with self.network(servers.ftp, offered=offered, offload=offload, **options) as lab:
            lab.end_offload(offload)
            yield lab

    def transfer(self, size=MIB, **options):
        size = case.scaled(size)
        with self.ftp(**options) as lab:
            digest = files.write_random(lab.path("ftp/file"), size)
            for name, way in WAYS.items():
                with self.subTest(way=name):
                    got = lab.path(f"got-{name}")
                    curl(lab, *way, "-o", got, f"{URL}/file")
                    self.assertEqual(files.sha256_at(got), digest, "the download differs")
                    curl(lab, *way, "-T", got, f"{URL}/incoming/{name}")
                    self.assertEqual(files.sha256_at(lab.path(f"ftp/incoming/{name}")), digest, "the upload differs")
                    self.assertEqual(curl(lab, *way, "--list-only", f"{URL}/incoming/").split()[-1], name)
                    os.remove(lab.path(f"ftp/incoming/{name}"))
                    os.remove(got)

    @case.vipgate_only
    def test_masquerade(self):
        self.transfer()

    @case.vipgate_only
    def test_preserve(self):
        self.transfer(source="preserve")

    @case.vipgate_only
    def test_masquerade_two_workers(self):
        self.transfer(workers=2)

    @case.vipgate_only
    def test_preserve_two_workers_without_offload(self):
        self.transfer(source="preserve", workers=2, offload=False)

    @case.vipgate_only
    def test_large_files(self):
        self.transfer(100 * MIB, workers=2)

    @case.vipgate_only
    def test_large_files_preserve(self):
        self.transfer(100 * MIB, source="preserve")

    def reuse(self, **options):
        """Every transfer adds to what the two ends of the control connection count differently."""
        count = 25
        with self.ftp(**options) as lab:
            names = [f"{index}-" + "x" * index for index in range(count)]
            digests = [files.write_random(lab.path(f"ftp/{name}"), 1000 + 777 * index) for index, name in enumerate(names)]
            for name, way in WAYS.items():
                urls = [word for file in names for word in (f"{URL}/{file}", "-o", lab.path(f"got-{file}"))]
                shown = curl(lab, *way, *urls, "-w", "%{num_connects}\\n").split()
                # The control connection once, and data connections where the client opens them.
                opened = 1 if name in ("EPSV", "PASV") else 0
                self.assertEqual([int(number) for number in shown], [1 + opened] + [opened] * (count - 1))
                self.assertEqual([files.sha256_at(lab.path(f"got-{file}")) for file in names], digests)

    @case.vipgate_only
    def test_many_transfers_on_one_control_connection(self):
        self.reuse()

    @case.vipgate_only
    def test_many_transfers_on_one_control_connection_preserve(self):
        self.reuse(source="preserve", workers=2)

    def mirror(self, **options):
        with self.ftp(**options) as lab:
            os.makedirs(lab.path("ftp/tree/deep"))
            digests = {name: files.write_random(lab.path(f"ftp/tree/{name}"), 300_000) for name in ("a", "b", "deep/c")}
            for name, way in LFTP_WAYS.items():
                settings = f"set net:max-retries 1; set net:timeout 10; set ftp:ssl-allow off; {way}"
                there, back = lab.path(f"there-{name}"), f"incoming/{name}"
                os.makedirs(there)
                script = f"{settings}; open {VIP}; mirror tree {there}; mirror -R {there} {back}; ls {back}"
                lab.client.run("lftp", "-c", script)
                for root in (there, lab.path(f"ftp/{back}")):
                    self.assertEqual({file: files.sha256_at(f"{root}/{file}") for file in digests}, digests, name)

    @case.vipgate_only
    def test_lftp(self):
        self.mirror()

    @case.vipgate_only
    def test_lftp_preserve(self):
        self.mirror(source="preserve")

    @contextlib.contextmanager
    def session(self, **options):
        """A control connection that sends what it is told, as it is told."""
        with self.ftp(**options) as lab, lab.client.entered(), ftplib.FTP(VIP, timeout=20) as ftp:
            ftp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ftp.login()
            yield lab, ftp

    def listing(self, ftp, send):
        """Gets the list of files by an active data connection, asked for with send(line)."""
        with socket.create_server((CLIENT, 0)) as listener:
            listener.settimeout(10)
            port = listener.getsockname()[1]
            send(f"PORT {CLIENT.replace('.', ',')},{port >> 8},{port & 255}\r\n".encode())
            self.assertEqual(ftp.getresp()[:3], "200")
            ftp.putcmd("NLST")
            self.assertEqual(ftp.getresp()[:3], "150")
            data, peer = listener.accept()
            with data:
                self.assertEqual(peer[0], VIP, "the client knows nobody but the VIP")
                names = data.makefile().read().split()
            self.assertEqual(ftp.getresp()[:3], "226")
            return names

    @case.vipgate_only
    def test_command_sent_byte_by_byte(self):
        for nodelay in (0, 1):
            with self.subTest(nodelay=nodelay), self.session() as (_, ftp):
                ftp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
                for _ in range(3):
                    names = self.listing(ftp, lambda line: [ftp.sock.send(line[at:at + 1]) for at in range(len(line))])
                    self.assertEqual(names, ["incoming"])

    @case.vipgate_only
    def test_commands_in_one_segment(self):
        with self.session() as (_, ftp):
            port = CLIENT.replace(".", ",") + ",200,1\r\n"
            ftp.sock.sendall(f"PORT {port}NOOP\r\nPORT {port}PORT {port}NOOP\r\nPORT {port}PORT {port}NOOP\r\n".encode())
            self.assertEqual([ftp.getresp()[:3] for _ in range(8)], ["200"] * 8)
            self.assertEqual(self.listing(ftp, ftp.sock.sendall), ["incoming"])

    @case.vipgate_only
    def test_third_party_and_low_ports_are_refused(self):
        lines = ("PORT 198,51,100,8,200,1", "PORT 10,0,0,2,31,144", "EPRT |1|198.51.100.8|51201|", "EPRT |1|10.0.0.4|2049|",
                 f"PORT {CLIENT.replace('.', ',')},0,25", f"EPRT |1|{CLIENT}|1023|")
        for source in ("masquerade", "preserve"):
            with self.session(source=source) as (_, ftp):
                for line in lines:
                    with self.assertRaises(ftplib.Error, msg=line):
                        ftp.sendcmd(line)
                self.assertEqual(self.listing(ftp, ftp.sock.sendall), ["incoming"])

    @case.vipgate_only
    def test_control_connection_alone_opens_nothing(self):
        """A port is open for the client that it was announced to, and once."""
        with self.session() as (lab, ftp):
            lab.client.ip("addr add 198.51.100.8/24 dev eth0")
            address = ftp.makepasv()
            with self.assertRaises(OSError):
                socket.create_connection(address, 2, source_address=("198.51.100.8", 0))
            with socket.create_connection(address, 5):
                with self.assertRaises(OSError):
                    socket.create_connection(address, 2)


if __name__ == "__main__":
    case.main()
