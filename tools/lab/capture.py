"""Packets as a device of a namespace sees them."""

import collections
import socket
import struct
import threading

from . import packet

_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING = 263, 6, 8, 23
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_ETH_P_ALL, _ETH_P_IP = 3, 0x0800
_CSUM_NOT_READY = 8  # TP_STATUS_CSUMNOTREADY: the transport checksum is partial
_BUFFER = 256 << 20

Seen = collections.namedtuple("Seen", "data time outgoing partial")  # from the IPv4 header on; nanoseconds


def packet_socket(namespace, device, kind=socket.SOCK_DGRAM):
    """A socket that sees every IPv4 packet of a device. SOCK_DGRAM starts at the IPv4 header, SOCK_RAW at the frame's."""
    with namespace.entered():
        raw = socket.socket(socket.AF_PACKET, kind, 0)
    raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    raw.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    raw.bind((device, _ETH_P_ALL))
    return raw


def receive(raw):
    """The next IPv4 packet of a packet_socket, or None when none comes within its timeout."""
    while True:
        try:
            data, notes, _, address = raw.recvmsg(65600, 256)
        except (BlockingIOError, TimeoutError):
            return None
        if address[1] != _ETH_P_IP:
            continue
        time, status = 0, 0
        for _, kind, value in notes:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value)
                time = seconds * 10**9 + nanoseconds
            elif kind == _PACKET_AUXDATA:
                status = struct.unpack_from("I", value)[0]
        return Seen(data, time, address[2] == socket.PACKET_OUTGOING, bool(status & _CSUM_NOT_READY))


class Capture:
    """Gives every packet of a device to `take`, from a thread, while the `with` block lasts."""

    def __init__(self, namespace, device, take, outgoing=True):
        self._socket = packet_socket(namespace, device)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 0 if outgoing else 1)
        self._socket.settimeout(0.1)
        self._take = take
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._error = None
        self.lost = 0

    def _read(self):
        try:
            while True:
                over = self._over.is_set()  # asked before reading: what came until then is read to the last packet
                seen = receive(self._socket)
                if seen:
                    self._take(seen)
                elif over:
                    return
        except Exception as error:  # belongs to the test, not to this thread
            self._error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self.lost = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        self._socket.close()
        if self._error:
            raise self._error


class Sink(Capture):
    """Verifies every packet that arrives at a device. `lost` packets were not looked at: a test must find it 0."""

    def __init__(self, namespace, device="eth0"):
        super().__init__(namespace, device, self._verify, outgoing=False)
        self.packets = 0
        self.partial = 0
        self.wrong = []

    def _verify(self, seen):
        self.packets += 1
        self.partial += seen.partial
        fault = packet.fault(seen.data, seen.partial)
        if fault:
            self.wrong.append(f"packet {self.packets}: {fault}: {seen.data[:60].hex()}")


def inject(raw, device, data, mac=b"\xff" * 6):
    """Sends an IPv4 packet from a SOCK_DGRAM packet_socket, to everyone on the wire unless told."""
    raw.sendto(data, (device, _ETH_P_IP, 0, 0, mac))
