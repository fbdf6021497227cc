"""A client and a server without kernels: they send and see whole packets on either side of the gateway, in lock-step.

After each packet, datagrams of another flow follow it through the gateway and back. Packets keep their order on the way, so that what
has not arrived by then was dropped; nothing waits for time to pass.
"""

import socket

from . import capture, packet
from .config import RAW_SERVER
from .namespace import LabError

RAW_CLIENT = "198.51.100.77"
RAW_PORT = 7000  # of the service "raw", TCP and UDP
_FENCE_CLIENT = (RAW_CLIENT, 9)


class _Side:
    """One end: sends into the gateway, collects what comes out."""

    def __init__(self, lab, namespace, address, neighbour_device):
        self._raw = capture.packet_socket(namespace, "eth0")
        self._raw.settimeout(5)
        self._address = socket.inet_aton(address)
        self._gateway = _mac(lab.gateway, neighbour_device)
        lab.gateway.ip(f"neigh replace {address} lladdr {_mac(namespace, 'eth0').hex(':')} dev {neighbour_device} nud permanent")

    def send(self, data):
        capture.inject(self._raw, "eth0", data, self._gateway)

    def until(self, fence):
        """All packets that came before the datagram with the payload `fence`, and that one's source."""
        came = []
        while seen := capture.receive(self._raw):
            if seen.outgoing or seen.data[16:20] != self._address:
                continue
            fault = packet.fault(seen.data, seen.partial)
            if fault:
                raise LabError(f"{fault}: {seen.data.hex()}")
            found = packet.parse(seen.data)
            if found.protocol == packet.UDP and found.payload == fence:
                return came, found.source
            came.append(seen.data)
        raise LabError("a datagram of the fence was lost")

    def close(self):
        self._raw.close()


def _mac(namespace, device):
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind((device, 0))
        return raw.getsockname()[4]


class RawPair:
    """Both ends of conversations with the service "raw" of a VIP. A context manager."""

    def __init__(self, lab, vip):
        self._service = (vip, RAW_PORT)
        self._server_address = (RAW_SERVER, RAW_PORT)
        self._client = _Side(lab, lab.client, RAW_CLIENT, "public")
        self._server = _Side(lab, next(iter(lab.hosts.values())), RAW_SERVER, "private")
        self._count = 0
        self._hidden_client = None  # the fence's client as the server sees it

    def __enter__(self):
        self._fence_to_server()
        self._fence_to_client()
        return self

    def __exit__(self, *_):
        self._client.close()
        self._server.close()

    def from_client(self, data):
        """Sends a packet. Returns what came to the client and to the server because of it."""
        self._client.send(data)
        at_server = self._fence_to_server()
        return self._fence_to_client(), at_server

    def from_server(self, data):
        self._server.send(data)
        at_client = self._fence_to_client()
        return at_client, self._fence_to_server()

    def _fence_to_server(self):
        mark = self._next_mark()
        self._client.send(packet.udp(_FENCE_CLIENT, self._service, mark))
        came, self._hidden_client = self._server.until(mark)
        return came

    def _fence_to_client(self):
        mark = self._next_mark()
        self._server.send(packet.udp(self._server_address, self._hidden_client, mark))
        return self._client.until(mark)[0]

    def _next_mark(self):
        self._count += 1
        return b"fence %d" % self._count
