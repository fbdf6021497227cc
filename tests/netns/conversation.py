"""Conversations of the oracle: what each side sends, and what is worth comparing in what the other side gets."""

import dataclasses
import socket
import struct
import typing

from lab import packet
from lab.config import RAW_SERVER
from lab.raw_pair import RAW_CLIENT, RAW_PORT

ISN = {True: 1000, False: 5000}  # initial sequence numbers: of the client, of the server
UNKNOWN_PORT = 39999  # where the server sends before it knows the client


@dataclasses.dataclass
class Ends:
    """The four endpoints of a conversation, and the last packet that either side got."""

    client: tuple
    service: tuple
    hidden: tuple  # the client as the server sees it
    server: tuple = (RAW_SERVER, RAW_PORT)
    got: dict = dataclasses.field(default_factory=lambda: {True: b"", False: b""})

    def pair(self, from_client):
        """Source and destination of what a side sends."""
        return (self.client, self.service) if from_client else (self.server, self.hidden)


class Step(typing.NamedTuple):
    """One packet to send: by whom, and how it is made from the Ends."""

    from_client: bool
    build: typing.Callable


def _tcp(from_client, flags, seq=0, ack=None, data=b"", spoil=False, **fields):
    """A segment; `seq` counts from the sender's initial sequence number, `ack` from the other side's."""

    def build(ends):
        segment = packet.tcp(
            *ends.pair(from_client), flags, ISN[from_client] + seq, 0 if ack is None else ISN[not from_client] + ack,
            payload=data, **fields)
        return segment[:36] + bytes([segment[36] ^ 1]) + segment[37:] if spoil else segment

    return Step(from_client, build)


def C(*arguments, **fields):
    """A TCP segment of the client."""
    return _tcp(True, *arguments, **fields)


def S(*arguments, **fields):
    """A TCP segment of the server."""
    return _tcp(False, *arguments, **fields)


def datagram(from_client, data):
    return Step(from_client, lambda ends: packet.udp(*ends.pair(from_client), data))


def complaint(from_client, kind, code, rest=0, quoted=None):
    """An ICMP error about the last packet that the sender got; of it, `quoted` bytes."""

    def build(ends):
        source, destination = ends.pair(from_client)
        return packet.icmp(source[0], destination[0], kind, code, rest, ends.got[from_client][:quoted])

    return Step(from_client, build)


def play(pair, ends, steps):
    """Sends the steps one by one. Returns, for each, what came to either side, described."""
    record = []
    for step in steps:
        send = pair.from_client if step.from_client else pair.from_server
        arrived = dict(zip((True, False), send(step.build(ends))))
        for to_client, packets in arrived.items():
            for data in packets:
                ends.got[to_client] = data
                _learn(ends, to_client, data)
        record.append([
            f"{'client' if to_client else 'server'} gets {describe(data, ends)}"
            for to_client, packets in arrived.items() for data in packets
        ])
    return record


def _learn(ends, to_client, data):
    """The server learns from what it gets which port hides the client."""
    found = packet.parse(data)
    if not to_client and found.protocol != packet.ICMP and found.source[0] == ends.hidden[0]:
        ends.hidden = found.source


def describe(data, ends):
    """A packet without what may differ: times to live, identifications, and the port that hides the client."""
    found = packet.parse(data)
    way = f"{_name(found.source, ends)} > {_name(found.destination, ends)}"
    if found.protocol == packet.UDP:
        return f"{way} UDP {found.payload!r}"
    if found.protocol == packet.ICMP:
        return f"{way} ICMP {found.icmp} about {_quoted(found.payload, ends)}"
    return (f"{way} TCP {found.flags or '-'} seq {found.seq} ack {found.ack} window {found.window} urgent {found.urgent} "
            f"options {found.options.hex()} {found.payload!r}")


def _quoted(data, ends):
    """An ICMP error's quotation: its ends, TCP's sequence number or UDP's length, and whether its checksums still fit."""
    if len(data) < 28:
        return data.hex()
    whole = len(data) == struct.unpack_from("!H", data, 2)[0]
    fault = packet.fault(data) if whole else "IPv4 checksum" if packet.ones_sum(data[:20]) else ""
    ports = struct.unpack_from("!HH", data, 20)
    source, destination = ((socket.inet_ntoa(data[at:at + 4]), port) for at, port in zip((12, 16), ports))
    detail = data[24:26 if data[9] == packet.UDP else 28].hex()
    return f"{_name(source, ends)} > {_name(destination, ends)} protocol {data[9]} {detail} {fault}"


def _name(endpoint, ends):
    for name in ("client", "service", "hidden", "server"):
        known = getattr(ends, name)
        if endpoint == known or endpoint == (known[0], 0):
            return name
    return f"{endpoint[0]}:{endpoint[1]}"


def ends_of(index, vip, masquerade):
    """The endpoints of the conversation number `index`; `masquerade` is None where the server sees the client itself."""
    client = (RAW_CLIENT, 40000 + index)
    return Ends(client, (vip, RAW_PORT), (masquerade, UNKNOWN_PORT) if masquerade else client)
