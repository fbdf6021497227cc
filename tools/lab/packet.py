"""IPv4 packets: built, read and verified."""

import dataclasses
import socket
import struct

TCP, UDP, ICMP = 6, 17, 1
FLAGS = "FSRPAUEC"  # from the lowest bit on
DONT_FRAGMENT, MORE_FRAGMENTS, _OFFSET = 0x4000, 0x2000, 0x1FFF


def ones_sum(data):
    """The one's complement sum of 16-bit words, below 0xffff (both zeros are 0)."""
    if len(data) % 2:
        data = bytes(data) + b"\0"
    return int.from_bytes(data, "big") % 0xFFFF


def checksum(data):
    total = ones_sum(data)
    return 0xFFFF - total if total else 0


def pseudo_header(source, destination, protocol, length):
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, protocol, length)


def flag_bits(names):
    return sum(1 << FLAGS.index(name) for name in names)


def flag_names(bits):
    return "".join(name for bit, name in enumerate(FLAGS) if bits >> bit & 1)


def ipv4(source, destination, protocol, payload, ttl=64, identification=1, tos=0, fragment=DONT_FRAGMENT, ip_options=b""):
    """`fragment`: flags, and the offset in units of 8 bytes. `ip_options` fill words of 4 bytes."""
    length = 20 + len(ip_options)
    head = struct.pack("!BBHHHBBH", 0x40 | length // 4, tos, length + len(payload), identification, fragment, ttl, protocol, 0)
    head += socket.inet_aton(source) + socket.inet_aton(destination) + ip_options
    return sealed(head) + payload


def sealed(head):
    """An IPv4 header with its right checksum."""
    return head[:10] + struct.pack("!H", checksum(head[:10] + b"\0\0" + head[12:])) + head[12:]


def tcp(source, destination, flags, seq=0, ack=0, window=64240, options=b"", payload=b"", urgent=0, **ip):
    """A packet from (address, port) to (address, port); `flags` as letters of FLAGS; `ip` as for ipv4()."""
    options += b"\1" * (-len(options) % 4)
    offset = (20 + len(options)) << 2
    head = struct.pack("!HHIIBBHHH", source[1], destination[1], seq % 2**32, ack % 2**32, offset, flag_bits(flags), window,
                       0, urgent)
    segment = head + options + payload
    check = checksum(pseudo_header(source[0], destination[0], TCP, len(segment)) + segment)
    return ipv4(source[0], destination[0], TCP, segment[:16] + struct.pack("!H", check) + segment[18:], **ip)


def udp(source, destination, payload=b"", summed=True, **ip):
    head = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0)
    check = checksum(pseudo_header(source[0], destination[0], UDP, 8 + len(payload)) + head + payload) or 0xFFFF
    return ipv4(source[0], destination[0], UDP, head[:6] + struct.pack("!H", check if summed else 0) + payload, **ip)


def icmp(source, destination, kind, code, rest=0, payload=b"", **ip):
    head = struct.pack("!BBHI", kind, code, 0, rest)
    return ipv4(source, destination, ICMP, head[:2] + struct.pack("!H", checksum(head + payload)) + head[4:] + payload, **ip)


def piece(data, begin, end, identification, more=None, at=None, tos=0):
    """A fragment: the bytes from `begin` to `end` (None: all that are left) of a packet's payload, placed at `at`, by default where they
    were. By default more follow unless all that were left are there."""
    head = header_length(data)
    body = data[head:]
    more = end is not None if more is None else more
    fragment = (begin if at is None else at) // 8 | (MORE_FRAGMENTS if more else 0)
    fixed = struct.pack("!BBHHH", data[0], tos, head + len(body[begin:end]), identification, fragment)
    return sealed(fixed + data[8:head]) + body[begin:end]


def is_fragment(data):
    return struct.unpack_from("!H", data, 6)[0] & (MORE_FRAGMENTS | _OFFSET) != 0


def header_length(data):
    return (data[0] & 15) * 4


def place(data):
    """A fragment's first byte and the one behind its last, within the payload, and whether more follow."""
    word, total = struct.unpack_from("!H", data, 6)[0], struct.unpack_from("!H", data, 2)[0]
    begin = (word & _OFFSET) * 8
    return begin, begin + total - header_length(data), word & MORE_FRAGMENTS != 0


def whole(packets):
    """The packets, with fragments put together to datagrams, each where its last came. What lacks a piece comes as it is, last."""
    done, waiting = [], {}
    for data in packets:
        if not is_fragment(data):
            done.append(data)
            continue
        key = data[4:6] + data[9:10] + data[12:20]
        pieces = waiting.setdefault(key, {})
        begin, end, more = place(data)
        pieces[begin] = (end, more, data)
        if joined := _joined(pieces):
            done.append(joined)
            del waiting[key]
    return done + [data for pieces in waiting.values() for _, _, data in pieces.values()]


def _joined(pieces):
    """The datagram of {begin: (end, more, fragment)}, or None while a piece is missing."""
    at, body, more = 0, b"", True
    while more:
        if at not in pieces:
            return None
        at, more, data = pieces[at]
        body += data[header_length(data):header_length(data) + at - len(body)]
    first = pieces[0][2]
    head = first[:2] + struct.pack("!H", header_length(first) + len(body)) + first[4:6] + b"\0\0" + first[8:header_length(first)]
    return sealed(head) + body


@dataclasses.dataclass
class Packet:
    """What a packet says. Fields of another protocol keep their defaults."""

    source: tuple
    destination: tuple
    protocol: int
    ttl: int
    payload: bytes
    flags: str = ""
    seq: int = 0
    ack: int = 0
    window: int = 0
    urgent: int = 0
    options: bytes = b""
    icmp: tuple = ()


def parse(data):
    """Reads a packet that is at least as long as its headers."""
    head = header_length(data)
    protocol = data[9]
    source, destination = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
    body = data[head:struct.unpack_from("!H", data, 2)[0]]
    if protocol == ICMP:
        kind, code, _, rest = struct.unpack_from("!BBHI", body)
        return Packet((source, 0), (destination, 0), protocol, data[8], body[8:], icmp=(kind, code, rest))
    if protocol not in (TCP, UDP):
        return Packet((source, 0), (destination, 0), protocol, data[8], body)
    ports = struct.unpack_from("!HH", body)
    ends = (source, ports[0]), (destination, ports[1])
    if protocol == UDP:
        return Packet(*ends, protocol, data[8], body[8:])
    seq, ack, offset, bits, window, _, urgent = struct.unpack_from("!IIBBHHH", body, 4)
    offset = (offset >> 4) * 4
    return Packet(*ends, protocol, data[8], body[offset:], flag_names(bits), seq, ack, window, urgent, body[20:offset])


def fault(data, partial=False):
    """What is wrong with a packet's lengths and checksums, or "".

    `partial`: the transport checksum was left to a network card, so its field holds the sum of the pseudo header.
    """
    if len(data) < 20 or data[0] >> 4 != 4 or struct.unpack_from("!H", data, 2)[0] > len(data):
        return "IPv4 length"
    head = header_length(data)
    body = data[head:struct.unpack_from("!H", data, 2)[0]]
    protocol = data[9]
    if ones_sum(data[:head]):
        return "IPv4 checksum"
    if struct.unpack_from("!H", data, 6)[0] & 0x3FFF:
        return ""  # a fragment carries no checksum of its own
    if protocol == ICMP:
        return "ICMP checksum" if ones_sum(body) else ""
    if protocol not in (TCP, UDP):
        return ""
    field = struct.unpack_from("!H", body, 16 if protocol == TCP else 6)[0]
    if protocol == UDP and field == 0 and not partial:
        return ""  # the sender chose to send none
    pseudo = ones_sum(data[12:20] + struct.pack("!HH", protocol, len(body)))
    expected = (field - pseudo if partial else pseudo + ones_sum(body)) % 0xFFFF
    return f"{'partial ' if partial else ''}{'TCP' if protocol == TCP else 'UDP'} checksum" if expected else ""
