"""A client and a server without kernels: they send and see whole packets on either side of the gateway, in lock-step.

After each packet, datagrams of another flow follow it through the gateway and back. Packets keep their order on the way, so that what
has not arrived by then was dropped; nothing waits for time to pass. Fragments that arrive are put together: gateways may cut differently.
"""

import socket

from . import capture, packet
from .config import RAW_SERVER
from .namespace import LabError

RAW_CLIENT = "198.51.100.77"
STRANGERS = {True: "198.51.100.78", False: "10.0.0.10"}  # another address on the client's side, and on the server's
RAW_PORT = 7000  # of the service "raw", TCP and UDP
_FENCE_CLIENT = (RAW_CLIENT, 9)


class _Side:
    """One end: sends into the gateway, collects what comes out."""

    def __init__(self, lab, namespace, addresses, neighbour_device):
        self._raw = capture.packet_socket(namespace, "eth0")
        self._raw.settimeout(5)
        self._addresses = {socket.inet_aton(address) for address in addresses}
        self._gateway = _mac(lab.gateway, neighbour_device)
        own = _mac(namespace, "eth0").hex(":")
        lab.gateway.ip(*(f"neigh replace {address} lladdr {own} dev {neighbour_device} nud permanent" for address in addresses))

    def send(self, data):
        capture.inject(self._raw, "eth0", data, self._gateway)

    def until(self, fence):
        """All datagrams that came before the one with the payload `fence`, and that one's source."""
        came = []
        while seen := capture.receive(self._raw):
            if seen.outgoing or seen.data[16:20] not in self._addresses:
                continue
            _require_right(seen.data, seen.partial)
            if seen.data[9] == packet.UDP and seen.data.endswith(fence) and not packet.is_fragment(seen.data):
                datagrams = packet.whole(came)
                for joined in datagrams:
                    if joined not in came:
                        _require_right(joined)
                return datagrams, packet.parse(seen.data).source
            came.append(seen.data)
        raise LabError("a datagram of the fence was lost")

    def close(self):
        self._raw.close()


def _require_right(data, partial=False):
    fault = packet.fault(data, partial)
    if fault:
        raise LabError(f"{fault}: {data.hex()}")


def _mac(namespace, device):
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind((device, 0))
        return raw.getsockname()[4]


class RawPair:
    """Both ends of conversations with the service "raw" of a VIP. A context manager."""

    def __init__(self, lab, vip):
        self._service = (vip, RAW_PORT)
        self._server_address = (RAW_SERVER, RAW_PORT)
        self._client = _Side(lab, lab.client, (RAW_CLIENT, STRANGERS[True]), "public")
        self._server = _Side(lab, next(iter(lab.hosts.values())), (RAW_SERVER, STRANGERS[False]), "private")
        self._count = 0
        self._hidden_client = None  # the fence's client as the server sees it

    def __enter__(self):
        self._fence_to_server()
        self._fence_to_client()
        return self

    def __exit__(self, *_):
        self._client.close()
        self._server.close()

    def from_client(self, *packets):
        """Sends packets. Returns the datagrams that came to the client and to the server because of them."""
        for data in packets:
            self._client.send(data)
        at_server = self._fence_to_server()
        return self._fence_to_client(), at_server

    def from_server(self, *packets):
        for data in packets:
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
