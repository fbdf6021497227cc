#!/usr/bin/python3
"""Records the capture files beside this script: what real programs send through the gateway, as its TUN sees it.

Each file holds what the kernel gave the gateway and what the gateway wrote back, raw IP, in the order of the device; the download,
to save room, only what the kernel gave. Names of captures to record can be given; all are without. Needs root, and vipgate built.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tools"))

from lab import capture, clients, config, files, pcap, servers
from lab.lab import CLIENT, HOSTS, VIP, Lab, end_on_signals
from lab.vipgate import Vipgate

SEED = 1
SETTINGS = {
    **config.configuration(offered=[*config.services(), config.service("ftp", 21, HOSTS["host3"], helper="ftp")]),
    "egress": [{"from": "10.0.0.0/24", "as": VIP}],
}


def http_keep_alive(lab, gateway):
    """Three requests on one connection."""
    lab.client.run("curl", "-sS", *(f"http://{VIP}/id/{number}" for number in range(3)))


def http_download(lab, gateway):
    """1 MiB with window scaling and SACK; a tenth of the packets to the client is lost on the way."""
    with open(lab.path("www") + "/file", "wb") as file:
        file.write(b"sixteen letters.\n" * 61681)  # 1 MiB, that takes little room in a repository
    digest = files.sha256_at(lab.path("www") + "/file")
    lab.client.run("nft", "-f", "-", input="""table ip lossy {
        chain arriving {
            type filter hook prerouting priority raw;
            meta length > 1000 numgen inc mod 10 == 7 drop
        }
    }""")
    if clients.download(lab.client, f"http://{VIP}/file") != digest:
        raise RuntimeError("the download differs")


def smtp(lab, gateway):
    with open(lab.path("letter"), "w") as file:
        file.write("Subject: recorded\n\nHello.\n")
    lab.client.run("curl", "-sS", f"smtp://{VIP}", "--mail-from", "a@example.org", "--mail-rcpt", "b@example.org",
                   "--upload-file", lab.path("letter"))


def dns(lab, gateway):
    for kind, name in (("A", "www"), ("TXT", "who"), ("TXT", "long")):
        lab.client.run("dig", "+short", "+notcp", f"@{VIP}", f"{name}.vip.example", kind)


def ping(lab, gateway):
    lab.client.run("ping", "-c", 3, "-i", "0.05", VIP)


def ftp(lab, gateway):
    """A file by passive and by active mode, each announced in both ways."""
    servers.ftp(lab)
    with open(lab.path("ftp/file"), "wb") as file:
        file.write(b"sixteen letters.\n" * 100)
    for way in ((), ("--disable-epsv",), ("--ftp-port", "-"), ("--ftp-port", "-", "--disable-eprt")):
        lab.client.run("curl", "-sS", "--no-ftp-skip-pasv-ip", *way, f"ftp://{VIP}/file")


def fragments(lab, gateway):
    """Datagrams too large for the link, and their answers."""
    servers.echo(lab)
    with _udp(lab.client) as udp:
        for size in (1473, 4000, 20000):
            udp.sendto(bytes(size), (VIP, 7))
            if udp.recv(65535) != bytes(size):
                raise RuntimeError("the answer differs")


def egress(lab, gateway):
    """A private host's own datagrams to two ports outside, and its ping."""
    host = lab.hosts[HOSTS["host4"]]
    with _udp(host) as inside, _udp(lab.client, CLIENT) as one, _udp(lab.client, CLIENT) as two:
        for outside in (one, two):
            inside.sendto(b"question", outside.getsockname())
            _, seen = outside.recvfrom(16)
            outside.sendto(b"answer", seen)
            inside.recv(16)
    host.run("ping", "-c", 2, "-i", "0.05", CLIENT)


def simultaneous_close(lab, gateway):
    """Both sides close while the gateway stands still, so that neither has seen the other's FIN."""
    with _conversation(lab) as (client, server):
        client.sendall(b"hello")
        server.recv(16)
        gateway.process.send_signal(signal.SIGSTOP)
        client.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
        time.sleep(0.05)
        gateway.process.send_signal(signal.SIGCONT)
        client.recv(16)
        server.recv(16)


def reset(lab, gateway):
    """A conversation that the client resets, one that the server resets, and a port that nobody serves."""
    for resetting in (0, 1):
        with _conversation(lab) as ends:
            ends[0].sendall(b"hello")
            ends[1].recv(16)
            ends[resetting].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ends[resetting].close()
            time.sleep(0.02)
    lab.client.run("curl", "-sS", f"http://{VIP}:81/", check=False)


def _udp(namespace, address=""):
    with namespace.entered():
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(5)
    udp.bind((address, 0))
    return udp


@contextlib.contextmanager
def _conversation(lab):
    """Both ends of a connection through the service "iperf"."""
    service = next(one for one in SETTINGS["vips"][0]["services"] if one["name"] == "iperf")
    address = (service["backends"][0]["address"], service["port"])
    with lab.hosts[address[0]].entered(), socket.create_server(address) as listener:
        with lab.client.entered():
            client = socket.create_connection((VIP, service["port"]), 5)
        server = listener.accept()[0]
    with client, server:
        yield client, server


INPUT_ONLY = (http_download,)
RECORDINGS = (http_keep_alive, http_download, smtp, dns, ping, ftp, fragments, egress, simultaneous_close, reset)


def record(recording):
    """Runs one recording in a network of its own and writes its capture."""
    packets = []
    with Lab() as lab:
        for server in (servers.web, servers.mail, servers.names):
            server(lab)
        gateway = Vipgate(lab, SETTINGS, ("--seed", str(SEED)))
        gateway.start()
        with capture.Capture(lab.gateway, "tun0", packets.append) as tap:
            recording(lab, gateway)
            time.sleep(0.2)
        gateway.stop()
    if tap.lost:
        raise RuntimeError(f"{recording.__name__}: {tap.lost} packets were not captured")
    path = os.path.join(HERE, f"{recording.__name__}.pcap")
    kept = [(seen.time, seen.data) for seen in packets if seen.outgoing or recording not in INPUT_ONLY]
    pcap.write(path, kept)
    print(f"{path}: {len(kept)} packets, {os.path.getsize(path)} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(one.__name__ for one in RECORDINGS))
    wanted = parser.parse_args().names
    end_on_signals()
    for recording in RECORDINGS:
        if not wanted or recording.__name__ in wanted:
            record(recording)
    with open(os.path.join(HERE, "vipgate.json"), "w") as file:
        json.dump(SETTINGS, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
