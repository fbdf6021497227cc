"""ICMP errors for both gateways, true and forged. A script has what comes before, then error after error about the same packet."""

import struct

from conversation import C, S, complaint, datagram
from lab import packet
from lab.lab import MASQUERADE, VIP
from lab.raw_pair import STRANGERS
from oracle_scripts import MORE, OPEN, SYN_OPTIONS, TALK

NOTHING = b"\x01\x01\x01\x00"  # IP options: three times no operation, and the end of the list
UNREACHABLE, QUENCH, REDIRECT, EXCEEDED, PROBLEM = 3, 4, 5, 11, 12
KINDS = [
    *((UNREACHABLE, code) for code in (0, 1, 3, 10, 13)),
    (UNREACHABLE, 4, 0),
    (EXCEEDED, 0),
    (EXCEEDED, 1),
    (PROBLEM, 0, 9 << 24),
]

# The last packet of each is there, but not acknowledged.
ASKED = OPEN + [C("PA", 1, 1, b"q" * 1360)]
ANSWERED = OPEN + [C("PA", 1, 1, b"request"), S("PA", 1, 8, b"a" * 1360)]
UDP_ASKED = [datagram(True, b"q" * 1372)]
UDP_ANSWERED = [datagram(True, b"question"), datagram(False, b"a" * 1372)]


def every(from_client, **fields):
    return [complaint(from_client, *kind, **fields) for kind in KINDS]


def with_ports(quotation):
    """Of another conversation."""
    head = packet.header_length(quotation)
    ports = [port + 1 for port in struct.unpack_from("!HH", quotation, head)]
    return quotation[:head] + struct.pack("!HH", *ports) + quotation[head + 4:]


def with_sequence(distance):
    def forge(quotation):
        at = packet.header_length(quotation) + 4
        sequence = struct.unpack_from("!I", quotation, at)[0] + distance
        return quotation[:at] + struct.pack("!I", sequence % 2**32) + quotation[at + 4:]

    return forge


def with_address(quotation):
    """Said to have been sent by a stranger."""
    head = packet.header_length(quotation)
    changed = packet.sealed(quotation[:12] + bytes([198, 51, 100, 9]) + quotation[16:head])
    return changed + quotation[head:]


def with_protocol(number):
    def forge(quotation):
        head = packet.header_length(quotation)
        return packet.sealed(quotation[:9] + bytes([number]) + quotation[10:head]) + quotation[head:]

    return forge


def with_broken_header(quotation):
    return quotation[:8] + bytes([quotation[8] ^ 8]) + quotation[9:]


def with_broken_transport(quotation):
    """Its last word is greater by five."""
    return quotation[:-2] + struct.pack("!H", (struct.unpack("!H", quotation[-2:])[0] + 5) % 0xFFFF)


def as_fragment(quotation):
    """A piece from the middle: what looks like ports is none."""
    head = packet.header_length(quotation)
    return packet.sealed(quotation[:6] + b"\x00\x10" + quotation[8:head]) + quotation[head:]


def forged(from_client, **fields):
    elsewhere = MASQUERADE if from_client else VIP
    return [
        *(complaint(from_client, 3, 1, forge=forge, **fields)
          for forge in (with_ports, with_address, with_protocol(50), with_protocol(1), with_broken_header, as_fragment)),
        complaint(from_client, 3, 1, receiver=elsewhere, **fields),
        complaint(from_client, 3, 1, forge=with_broken_transport, **fields),
    ]


def outside(from_client, **fields):
    """Sequence numbers that are not in flight, and one that is."""
    distances = (20_000_000, -20_000_000, 2**31, 0)
    return [complaint(from_client, 3, 1, forge=with_sequence(distance), **fields) for distance in distances]


def sizes(from_client, **fields):
    """"Fragmentation needed" about a packet of 1,400 bytes: the first six could be, the others not."""
    return [complaint(from_client, 3, 4, mtu, **fields) for mtu in (0, 68, 296, 576, 1280, 1399, 1400, 1500, 9000, 65535, 67, 1)]


ABOUT = {
    # name: what comes before, and who complains
    "request": (ASKED, False),
    "answer": (ANSWERED, True),
    "question": (UDP_ASKED, False),
    "reply": (UDP_ANSWERED, True),
}

SCRIPTS = {}
for about, (before, by_client) in ABOUT.items():
    for quoted in (28, 40, 548, None):
        SCRIPTS[f"{about}_quoted_{quoted or 'whole'}"] = before + every(by_client, quoted=quoted)
    SCRIPTS[f"{about}_by_a_router"] = before + every(by_client, quoted=28, sender=STRANGERS[by_client])
    SCRIPTS[f"{about}_too_big"] = before + sizes(by_client, quoted=28)
    SCRIPTS[f"{about}_forged"] = before + forged(by_client)
    SCRIPTS[f"{about}_forged_shortest"] = before + forged(by_client, quoted=28)
    SCRIPTS[f"{about}_cut_off"] = before + [complaint(by_client, 3, 1, quoted=length) for length in (0, 1, 19, 20, 24, 27)]
    SCRIPTS[f"{about}_redirected_and_quenched"] = before + [
        complaint(by_client, REDIRECT, 1, 0x0A000063, quoted=28), complaint(by_client, QUENCH, 0, quoted=28)]
    # RFC 4884: the quotation fills 32 words, and an extension follows it.
    SCRIPTS[f"{about}_extended"] = before + [
        complaint(by_client, EXCEEDED, 0, 32 << 16, quoted=128, tail=b"\x20\x00\xdf\xfb\x00\x08\x01\x01\x00\x01\x02\x03")]

SCRIPTS |= {
    "request_outside": ASKED + outside(False, quoted=28),
    "answer_outside": ANSWERED + outside(True, quoted=28),
    "request_goes_on": ASKED + every(False, quoted=28) + [S("A", 1, 1361), S("PA", 1, 1361, b"fine"), C("A", 1361, 5)],
    "acknowledged_long_ago": OPEN + TALK + MORE + [
        complaint(True, 3, 1, quoted=28, forge=with_sequence(-1)), complaint(False, 3, 1, quoted=28, forge=with_sequence(-11))],
    "syn": [OPEN[0]] + every(False, quoted=28) + OPEN[1:],
    "syn_ack": OPEN[:2] + every(True, quoted=28) + OPEN[2:],
    "syn_by_a_router": [OPEN[0], complaint(False, 3, 1, quoted=28, sender=STRANGERS[False])],
    "options_in_a_request": OPEN + [C("PA", 1, 1, b"request", ip_options=NOTHING)] + every(False) + every(False, quoted=32),
    "options_in_an_answer": OPEN + TALK[:1] + [S("PA", 1, 8, b"answer", ip_options=NOTHING)] + every(True) + every(True, quoted=32),
    "options_in_a_question": [datagram(True, b"question", ip_options=NOTHING)] + every(False) + every(False, quoted=32),
    "options_in_a_syn": [C("S", options=SYN_OPTIONS, ip_options=NOTHING * 10), complaint(False, 3, 1, quoted=68)],
    "unsummed_question": [datagram(True, b"question", summed=False)] + every(False) + every(False, quoted=28),
    "of_nothing": [complaint(True, 3, 1), *(complaint(side, 3, 3, forge=lambda _: b"\0" * 28) for side in (True, False))],
}
