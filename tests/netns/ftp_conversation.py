"""FTP for the oracle: a control connection whose two ends count for themselves, and the data connections that it announces.

Sequence numbers differ from gateway to gateway once a line was edited. So each end sends with its own numbers and acknowledges what it
got, and what is compared is whether a segment continues there where the last one ended, and whether it acknowledges all that was sent.
Addresses and ports that a gateway puts into lines are compared by name; that the name is right shows when the data connection opens.
"""

import dataclasses
import re

from conversation import ISN, UNKNOWN_PORT, Ends, Step, name, shown
from lab import packet
from lab.config import RAW_SERVER
from lab.raw_pair import RAW_CLIENT, STRANGERS

FTP_PORT = 21
STRANGERS_PORT = 51999


@dataclasses.dataclass
class FtpEnds:
    control: Ends
    data: Ends
    sent: dict = dataclasses.field(default_factory=lambda: {True: 0, False: 0})  # the next byte of each side, in its own numbers
    got: dict = dataclasses.field(default_factory=lambda: {True: 0, False: 0})  # the next byte that each side expects
    last: dict = dataclasses.field(default_factory=dict)  # what each side sent last: sequence, flags, payload

    def segment(self, from_client, seq, flags, payload):
        acknowledged = ISN[not from_client] + self.got[from_client] if "A" in flags else 0
        return packet.tcp(*self.control.pair(from_client), flags, ISN[from_client] + seq, acknowledged, payload=payload)

    def words(self):
        """What lines can name."""

        def endpoint(address, port):
            return f"{address.replace('.', ',')},{port >> 8},{port & 255}"

        client, server = self.data.client, self.data.server
        return {
            "client": endpoint(*client), "client_address": client[0], "client_port": client[1],
            "server": endpoint(*server), "server_address": server[0], "server_port": server[1],
            "vip": endpoint(self.control.service[0], server[1]),
            "low": endpoint(client[0], 25), "low_of_server": endpoint(server[0], 25),
            "third_client": endpoint(STRANGERS[True], client[1]), "third_client_address": STRANGERS[True],
            "third_server": endpoint(STRANGERS[False], server[1]),
        }


def ends_of(index, vip, masquerade):
    """The endpoints of the conversation number `index`; `masquerade` is None where the server sees the client itself."""
    client, data = (RAW_CLIENT, 40000 + index), (RAW_CLIENT, 50000 + index)

    def hidden(port):
        return (masquerade or RAW_CLIENT, port)

    return FtpEnds(
        Ends(client, (vip, FTP_PORT), hidden(UNKNOWN_PORT if masquerade else client[1]), (RAW_SERVER, FTP_PORT)),
        Ends(data, (vip, UNKNOWN_PORT), hidden(UNKNOWN_PORT), (RAW_SERVER, 52000 + index)))


def _control(from_client, text, flags="PA", begin=0, end=None):
    """The next segment of a side: of its text, made with the words of the FtpEnds, the bytes from `begin` to `end`."""

    def build(ends):
        payload = text.format(**ends.words()).encode()[begin:end]
        seq = ends.sent[from_client]
        ends.last[from_client] = (seq, flags, payload)
        ends.sent[from_client] += len(payload) + ("S" in flags) + ("F" in flags)
        return ends.segment(from_client, seq, flags, payload)

    return Step(from_client, build)


def client_line(text, **fields):
    return _control(True, text + "\r\n", **fields)


def server_line(text, **fields):
    return _control(False, text + "\r\n", **fields)


def client_sends(flags, text=""):
    return _control(True, text, flags)


def server_sends(flags, text=""):
    return _control(False, text, flags)


def again(from_client):
    """The side's last segment once more."""
    return Step(from_client, lambda ends: ends.segment(from_client, *ends.last[from_client]))


def _data(from_client, flags, seq=0, ack=None, text=b"", stranger=False):
    """A segment of the data connection. A stranger sends it from the address that it has."""

    def build(ends):
        source, destination = ends.data.pair(from_client)
        if stranger:
            source = (STRANGERS[from_client], STRANGERS_PORT)
        return packet.tcp(
            source, destination, flags, ISN[from_client] + seq, 0 if ack is None else ISN[not from_client] + ack, payload=text)

    return Step(from_client, build)


def client_data(flags, *arguments, **fields):
    return _data(True, flags, *arguments, **fields)


def server_data(flags, *arguments, **fields):
    return _data(False, flags, *arguments, **fields)


_ENDPOINTS = re.compile(rb"(\d+,\d+,\d+,\d+),(\d+),(\d+)|(\d+\.\d+\.\d+\.\d+)?([|!])(\d+)\5")


def look(data, to_client, ends):
    """Learns from a packet, and describes it."""
    found = packet.parse(data)
    if found.protocol != packet.TCP:
        return f"ICMP {found.icmp}"
    own_end = ends.control.client if to_client else ends.control.server
    if found.destination != own_end:
        return _look_at_data(found, to_client, ends)
    if not to_client and found.source[0] == ends.control.hidden[0]:
        ends.control.hidden = found.source
    begin = found.seq - ISN[not to_client]
    end = begin + len(found.payload) + ("S" in found.flags) + ("F" in found.flags)
    expected = ends.got[to_client]
    where = "next" if begin == expected else "again" if end == expected else f"{begin - expected:+}"
    ends.got[to_client] = max(expected, end) if begin <= expected else expected
    missing = ends.sent[to_client] - (found.ack - ISN[to_client])
    acknowledges = f"acknowledges {f'all but {missing}' if missing else 'all'}" if "A" in found.flags else ""
    text = _ENDPOINTS.sub(lambda match: _named(match, to_client, ends), found.payload)
    return f"{_way(found, ends.control, to_client)} {found.flags} {where} {acknowledges} {text!r}"


def _look_at_data(found, to_client, ends):
    known = ends.data
    if to_client and found.destination == known.client and found.source[0] == known.service[0]:
        known.service = found.source
    if not to_client and found.destination == known.server and found.source[0] == known.hidden[0]:
        known.hidden = found.source
    return f"data {_way(found, known, to_client)} {found.flags} seq {found.seq} ack {found.ack} {shown(found.payload)}"


def _way(found, ends, to_client):
    """The ends as the receiver knows them: a hidden client may look like itself."""
    roles = ("client", "service", "hidden", "server") if to_client else ("hidden", "server", "client", "service")
    return f"{name(found.source, ends, roles)} > {name(found.destination, ends, roles)}"


def _named(match, to_client, ends):
    """An endpoint in a line, by name where it is the gateway's; it is where the receiver will open the data connection."""
    commas, high, low, dots, bar, port = match.groups()
    address = (commas or dots or ends.control.service[0].encode()).decode().replace(",", ".")
    port = int(port) if bar else int(high) * 256 + int(low)
    announced = ends.data.service if to_client else ends.data.hidden
    if address != announced[0] or port == 0:
        return match[0]
    if to_client:
        ends.data.service = (address, port)
    else:
        ends.data.hidden = (address, port)
    where = b"SERVICE" if to_client else b"HIDDEN"
    return (where if dots else b"") + bar + where + bar if bar else where


def play(pair, ends, steps):
    """Sends the steps one by one. Returns, for each, what came to either side, described."""
    record = []
    for step in steps:
        send = pair.from_client if step.from_client else pair.from_server
        at_client, at_server = send(step.build(ends))
        record.append([f"client gets {look(data, True, ends)}" for data in at_client]
                      + [f"server gets {look(data, False, ends)}" for data in at_server])
    return record
