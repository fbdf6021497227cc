"""Clients that move much and check all of it."""

import os
import socket
import subprocess
import sys

from . import files
from .namespace import LabError

_CONNECTING_PROCESSES = 4
_PATIENCE = 100  # seconds for a transfer


def download(namespace, url, patience=_PATIENCE):
    """Fetches a URL with curl; returns the SHA-256 of what came."""
    with namespace.start("curl", "-sS", "--fail", "--max-time", patience, url, stdout=subprocess.PIPE) as child:
        digest = files.sha256(child.stdout)
    if child.returncode != 0:
        raise LabError(f"curl {url}: exit {child.returncode}")
    return digest


def upload(namespace, path, url, patience=_PATIENCE):
    """Sends a file with curl and PUT."""
    namespace.run("curl", "-sS", "--fail", "--max-time", patience, "-T", path, url)


def download_slices(lab, url, name, count, size):
    """Fetches `count` different slices of lab.path("www")/NAME at once; returns the numbers of those that came wrong."""
    total = os.path.getsize(os.path.join(lab.path("www"), name))
    starts = [index * (total - size) // count for index in range(count)]
    os.makedirs(lab.path("slices"), exist_ok=True)
    with open(lab.path("slices.conf"), "w") as file:
        for index, start in enumerate(starts):
            file.write(f'next\nurl = "{url}/{name}"\nrange = {start}-{start + size - 1}\n')
            file.write(f'output = "{lab.path("slices")}/{index}"\n')
    at_once = ("--parallel", "--parallel-immediate", "--parallel-max", count)
    lab.client.run("curl", "-sS", "--fail", *at_once, "-K", lab.path("slices.conf"))
    wrong = []
    with open(os.path.join(lab.path("www"), name), "rb") as original:
        for index, start in enumerate(starts):
            original.seek(start)
            with open(os.path.join(lab.path("slices"), str(index)), "rb") as got:
                if got.read() != original.read(size):
                    wrong.append(index)
    return wrong


def echo(namespace, address, port, sizes):
    """Sends datagrams of these sizes, a few at a time, to an echo server; raises unless each comes back as it went."""
    with namespace.entered():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(5)
        client.connect((address, port))
        for start in range(0, len(sizes), 16):
            sent = [os.urandom(size) for size in sizes[start:start + 16]]
            for data in sent:
                client.send(data)
            if sorted((client.recv(65535) for _ in sent), key=len) != sent:
                raise LabError(f"the echo of datagrams from {sizes[start]} bytes differs")


def connect_often(namespace, address, port, count, source):
    """Opens `count` short HTTP connections to /id/N, where the server must see `source`. Returns what went wrong, as text."""
    script = os.path.join(os.path.dirname(__file__), "short_http.py")
    shares = [len(range(index, count, _CONNECTING_PROCESSES)) for index in range(_CONNECTING_PROCESSES)]
    children = [
        namespace.start(sys.executable, script, address, port, share, source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for share in shares
    ]
    outputs = [child.communicate()[0].decode() for child in children]
    return "\n".join(output for output, child in zip(outputs, children) if output or child.returncode)
