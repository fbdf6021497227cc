"""Conversations of the oracle: what each side sends, and what is worth comparing in what the other side gets."""

import dataclasses
import socket
import struct
import typing
import zlib

from lab import packet
from lab.config import RAW_SERVER
from lab.raw_pair import RAW_CLIENT, RAW_PORT

ISN = {True: 1000, False: 5000}  # initial sequence numbers: of the client, of the server
UNKNOWN_PORT = 39999  # where the server sends before it knows the client
PING = 77  # identifier of echo requests


@dataclasses.dataclass
class Ends:
    """The four endpoints of a conversation, and the last packet that either side got, and sent in one piece."""

    client: tuple
    service: tuple
    hidden: tuple  # the client as the server sees it
    server: tuple = (RAW_SERVER, RAW_PORT)
    got: dict = dataclasses.field(default_factory=lambda: {True: b"", False: b""})
    sent: dict = dataclasses.field(default_factory=lambda: {True: b"", False: b""})
    identification: int = 0  # of the last datagram sent in fragments

    def pair(self, from_client):
        """Source and destination of what a side sends."""
        return (self.client, self.service) if from_client else (self.server, self.hidden)


class Step(typing.NamedTuple):
    """A packet, or its fragments, to send: by whom, and how it is made from the Ends."""

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


def datagram(from_client, data, **fields):
    return Step(from_client, lambda ends: packet.udp(*ends.pair(from_client), data, **fields))


def ping(data, **fields):
    """An echo request of the client to the service's address."""
    return Step(True, lambda ends: packet.icmp(ends.client[0], ends.service[0], 8, 0, PING << 16 | 1, data, **fields))


def complaint(from_client, kind, code, rest=0, quoted=None, forge=None, sender=None, receiver=None, tail=b""):
    """An ICMP error about the last packet that the sender got; of it, `quoted` bytes, which `forge` can change.

    `sender` and `receiver` stand for other addresses than those of the two sides; `tail` follows the quotation.
    """

    def build(ends):
        source, destination = ends.pair(from_client)
        quotation = ends.got[from_client][:quoted]
        if forge:
            quotation = forge(quotation)
        return packet.icmp(sender or source[0], receiver or destination[0], kind, code, rest, quotation + tail)

    return Step(from_client, build)


def cut(step, *borders, **fields):
    """The packet of a step in fragments that end at these multiples of 8."""
    borders = (0, *borders, None)
    return pieces(step, *zip(borders, borders[1:]), **fields)


def pieces(step, *ranges, order=None, tos=()):
    """Of the packet of a step, the fragments from byte to byte, in the given order, each with its TOS. They need not be all, or
    disjoint. Behind its two ends a range may say whether more follow, and where it is placed."""

    def build(ends):
        data = step.build(ends)
        ends.identification += 1
        marks = tos or [0] * len(ranges)
        cuts = [packet.piece(data, *one[:2], ends.identification, *one[2:], tos=mark) for one, mark in zip(ranges, marks)]
        return [cuts[index] for index in (range(len(cuts)) if order is None else order)]

    return Step(step.from_client, build)


def play(pair, ends, steps):
    """Sends the steps one by one. Returns, for each, what came to either side, described."""
    record = []
    for step in steps:
        send = pair.from_client if step.from_client else pair.from_server
        built = step.build(ends)
        packets = [built] if isinstance(built, bytes) else built
        if len(packets) == 1:
            ends.sent[step.from_client] = packets[0]
        arrived = dict(zip((True, False), send(*packets)))
        for to_client, packets in arrived.items():
            for data in packets:
                if data[9] != packet.ICMP:  # no error is about an error
                    ends.got[to_client] = data
                _learn(ends, to_client, data)
        record.append([
            f"{'client' if to_client else 'server'} gets {describe(data, ends)}"
            for to_client, packets in arrived.items() for data in packets
        ])
    return record


def _learn(ends, to_client, data):
    """The server learns from what it gets which port hides the client."""
    if to_client or packet.is_fragment(data):
        return
    found = packet.parse(data)
    if found.protocol != packet.ICMP and found.source[0] == ends.hidden[0]:
        ends.hidden = found.source


def describe(data, ends):
    """A packet without what may differ: times to live, identifications, and the port that hides the client."""
    head = packet.header_length(data)
    notes = (f" TOS {data[1]}" if data[1] else "") + (f" IP options {data[20:head].hex()}" if head > 20 else "")
    if packet.is_fragment(data):
        return f"{socket.inet_ntoa(data[12:16])} > {socket.inet_ntoa(data[16:20])}{notes} fragment {packet.place(data)}"
    found = packet.parse(data)
    way = f"{name(found.source, ends)} > {name(found.destination, ends)}{notes}"
    if found.protocol == packet.UDP:
        return f"{way} UDP {shown(found.payload)}"
    if found.protocol == packet.ICMP:
        content = shown(found.payload) if found.icmp[0] in (0, 8) else f"about {_quoted(found.payload, ends)}"
        return f"{way} ICMP {found.icmp} {content}"
    return (f"{way} TCP {found.flags or '-'} seq {found.seq} ack {found.ack} window {found.window} urgent {found.urgent} "
            f"options {found.options.hex()} {shown(found.payload)}")


def shown(payload):
    return repr(payload) if len(payload) <= 64 else f"{len(payload)} bytes {zlib.crc32(payload):08x}"


def _quoted(data, ends):
    """An ICMP error's quotation: its ends, TCP's sequence number or UDP's length, whether the transport part is as one of them sent it,
    and whether its checksums still fit."""
    head = packet.header_length(data) if data else 0
    if len(data) < head + 8 or head < 20:
        return data.hex()
    total = struct.unpack_from("!H", data, 2)[0]
    fault = packet.fault(data) if len(data) >= total else "IPv4 checksum" if packet.ones_sum(data[:head]) else ""
    body = data[head:total]
    ports = struct.unpack_from("!HH", body)
    source, destination = ((socket.inet_ntoa(data[at:at + 4]), port) for at, port in zip((12, 16), ports))
    detail = body[4:6 if data[9] == packet.UDP else 8].hex()
    sent = any(body == one[packet.header_length(one):][:len(body)] for one in ends.sent.values() if one)
    return (f"{name(source, ends)} > {name(destination, ends)} protocol {data[9]} {detail} {len(data)} bytes, IP options "
            f"{data[20:head].hex()}{', as sent' if sent else ''} {fault} {data[total:].hex()}")


def name(endpoint, ends, roles=("client", "service", "hidden", "server")):
    for role in roles:
        known = getattr(ends, role)
        if endpoint == known or endpoint == (known[0], 0):
            return role
    return f"{endpoint[0]}:{endpoint[1]}"


def ends_of(index, vip, masquerade):
    """The endpoints of the conversation number `index`; `masquerade` is None where the server sees the client itself."""
    client = (RAW_CLIENT, 40000 + index)
    hidden = (masquerade, UNKNOWN_PORT) if masquerade else client
    return Ends(client, (vip, RAW_PORT), hidden, identification=100 * index)
