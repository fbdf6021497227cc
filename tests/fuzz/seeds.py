#!/usr/bin/env python3
"""Makes the seed corpora anew from the captures of tests/replay and the texts of tests/config, to be minimised.

    tests/fuzz/seeds.py FOLDER     one folder a target in FOLDER; tools/fuzz.sh --seeds calls it
"""

import pathlib
import re
import socket
import struct
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS.parent / "tools"))

from lab import pcap  # noqa: E402

PACKETS_A_CAPTURE = 12
LINKS = {"raw": (101, b""), "ipv4": (228, b""), "ethernet": (1, bytes(12) + b"\x08\x00"),
         "vlan": (1, bytes(12) + b"\x81\x00\x00\x07\x08\x00"), "cooked": (113, bytes(14) + b"\x08\x00"),
         "cooked2": (276, b"\x08\x00" + bytes(18))}


def captures():
    """Name and first packets of each recorded capture."""
    for path in sorted((TESTS / "replay").glob("*.pcap")):
        packets = [packet for packet in pcap.read(path) if len(packet) <= 600]
        yield path.stem, packets[:PACKETS_A_CAPTURE]


def classic(link, header, packets, order="<", magic=0xA1B2C3D4):
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    for i, packet in enumerate(packets):
        out += struct.pack(order + "IIII", 1 + i, 0, len(header + packet), len(header + packet)) + header + packet
    return out


def block(kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(link, header, packets):
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", link, 0, 262144))
    for i, packet in enumerate(packets):
        frame = header + packet
        out += block(6, struct.pack("<IIIII", 0, 0, 1000 * i, len(frame), len(frame)) + frame)
    return out


def pcap_seeds():
    for name, packets in captures():
        yield name, classic(101, b"", packets, magic=0xA1B23C4D)
    name, packets = next(iter(captures()))
    for link, (number, header) in LINKS.items():
        yield link, classic(number, header, packets[:4])
        yield link + "_ng", pcapng(number, header, packets[:4])
    yield "big_endian", classic(101, b"", packets[:4], order=">")


# A step away from most of what can clash.
NEIGHBOURS = """{"tun":{"subnet":["203.0.113.8/29","198.51.100.0/30"]},"masquerade":["203.0.113.14","203.0.113.13"],
"vips":[{"address":"203.0.113.10","services":[
{"name":"a","protocol":"tcp","port":80,"backends":[{"address":"10.0.0.2"},{"address":"10.0.0.3"}]},
{"name":"b","protocol":"tcp","port":81,"backends":[{"address":"10.0.0.2"}]},
{"name":"c","protocol":["tcp","udp"],"port":"82-84","backends":[{"address":"10.0.0.2","port":80}]},
{"name":"d","protocol":"tcp","port":"*","backends":[{"address":"10.0.0.2"}]},
{"name":"e","protocol":"udp","port":"*","masquerade":"203.0.113.13","backends":[{"address":"10.0.0.2"}]}]},
{"address":"203.0.113.11","services":[
{"protocol":"tcp","port":21,"helper":"ftp","backends":[{"address":"10.0.0.4"}]}]}],
"egress":[{"from":"10.0.0.0/24","as":"203.0.113.10"},{"from":"10.0.1.0/24","as":"203.0.113.11"}]}"""


def config_seeds():
    """Every text in the tests that may be a whole file, and the README's example."""
    yield "neighbours", NEIGHBOURS.encode()
    for path in sorted((TESTS / "config").glob("*_test.cc")):
        texts = re.findall(r'R"\w*\((.*?)\)\w*"', path.read_text(), re.S)
        for i, text in enumerate(text for text in texts if re.match(r"\s*(//|/\*|\{)", text) and len(text) > 40):
            yield f"{path.stem}_{i}", text.encode()
    example = re.search(r"^    \{$.*?^    \}$", (TESTS.parent / "README.md").read_text(), re.S | re.M)
    yield "readme", example.group().encode()
    yield "replay", re.sub(r"\s+", " ", (TESTS / "replay" / "vipgate.json").read_text()).encode()


MEND, MEND_PARTIAL, MEND_ALL = b"\x03", b"\x05", b"\x1b"  # of packet.cc
NO_VIRTIO = bytes(10)


def ip(protocol, source, destination, payload, fragment=0x4000, options=b""):
    """A packet whose checksums the target mends."""
    header = 20 + len(options)
    return struct.pack(">BBHHHBBH4s4s", 0x40 + header // 4, 0, header + len(payload), 7, fragment, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(destination)) + options + payload


def udp(source_port, destination_port, payload=b"?"):
    return struct.pack(">HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def tcp(source_port, destination_port, flags, sequence=0, acknowledgement=0, payload=b"", options=b""):
    offset = 5 + len(options) // 4
    return struct.pack(">HHIIBBHHH", source_port, destination_port, sequence, acknowledgement, offset << 4, flags,
                       64240, 0, 0) + options + payload


def icmp(kind, code, quoted, rest=0):
    return struct.pack(">BBHI", kind, code, 0, rest) + quoted


def packet_seeds():
    """Packets of the captures, and about the flows that the target has open."""
    client, vip, web = "198.51.100.7", "203.0.113.10", "10.0.0.2"
    for name, packets in captures():
        for i, packet in enumerate(packets[:4]):
            yield f"{name}_{i}", MEND + NO_VIRTIO + packet
    options = bytes([2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    query = ip(17, "203.0.113.14", "10.0.0.4", udp(40000, 53))
    segment = ip(6, vip, client, tcp(80, 40000, 0x10, 5001, 1007))
    made = {
        "syn": ip(6, client, vip, tcp(41000, 80, 2, 1, options=options)),
        "data": ip(6, client, vip, tcp(40000, 80, 0x18, 1007, 5007, b"more")),
        "reset": ip(6, client, vip, tcp(40000, 80, 4, 1007)),
        "preserved": ip(6, "10.0.0.5", client, tcp(443, 40001, 0x10, 10, 8)),
        "pass": ip(6, "10.0.0.5", "192.0.2.1", tcp(22, 5000, 0x10, 10, 8)),
        "foreign": ip(47, "10.0.0.5", "192.0.2.1", bytes(8)),
        "options": ip(17, client, vip, udp(5000, 53), options=b"\x94\x04\0\0"),
        "fragment": ip(17, client, vip, udp(5000, 53, bytes(32))[:32], fragment=0x2000),
        "late_fragment": ip(17, client, vip, bytes(32), fragment=4),
        "unserved": ip(17, client, vip, udp(5000, 54)),
        "unreachable": ip(1, client, vip, icmp(3, 3, segment)),
        "unreachable_short": ip(1, client, vip, icmp(3, 3, segment[:28])),
        "too_big": ip(1, "192.0.2.1", vip, icmp(3, 4, segment, rest=1400)),
        "unreachable_private": ip(1, web, "203.0.113.14", icmp(3, 1, query)),
        "ping": ip(1, client, vip, icmp(8, 0, b"ping", rest=0x00010001)),
    }
    for name, packet in made.items():
        yield name, MEND_ALL + NO_VIRTIO + packet
    virtio = struct.pack(">BBHHHH", 1, 1, 40, 1448, 20, 16)
    yield "super", MEND_PARTIAL + virtio + ip(6, client, vip, tcp(40000, 80, 0x18, 1007, 5007, bytes(400)))


# Events of peers.cc, by what they read.
PORTS = {80: 0, 443: 1, 53: 2, 21: 3, 2121: 4, 81: 5, 25: 6, 8000: 7, 9: 9, 32768: 11}
FLAGS = {"ack": 0, "psh": 1, "fin": 2, "syn_ack": 3, "syn": 4, "rst_ack": 5, "rst": 6}
LINES = {"": 0, "get": 1, "220": 2, "user": 3, "pasv": 4, "epsv": 5, "auth": 6, "third_party": 8, "low_port": 9,
         "port": 16, "eprt": 17, "227": 18, "229": 19, "two": 20, "long": 23, "rest": 25}


def connect(port, client=0, client_port=0, vip=0):
    return bytes([0, client, client_port, vip, PORTS[port], 0, 7])


def answer(line="", back=0, flags=None):
    """Of whoever got the packet that came out last but `back`. Whoever got a SYN says nothing."""
    how = 0 if flags is None else 0x40 + FLAGS[flags]
    return bytes([3, back, how, 0, LINES[line]])


def greet():
    return bytes([3, 0, 0, 3])


def say(line=None, back=0):
    """An answer without a connection: a datagram, or an echo."""
    return bytes([3, back]) + (b"" if line is None else bytes([LINES[line]]))


def go_on(line, back=0):
    """Of whoever sent the last packet but `back`."""
    return go_on_with(bytes([LINES[line]]), back)


def go_on_with(line, back=0):
    return bytes([6, back, 0]) + line + b"\0"


def half(line, at):
    return bytes([LINES[line] + 0x80, at])


def handshake(port, **options):
    return connect(port, **options) + greet() + answer()


ASK = bytes([1, 0, 0, 0, PORTS[53], 1, 0])
PING = bytes([2, 0, 0, 0, 3])
CONNECT_TO_ANNOUNCED = bytes([11, 0, 0, 0])
FRAGMENTS = bytes([14, 0, 1, 3, 4, 0])
FRAGMENTS_BACKWARD = bytes([14, 0, 1, 3, 4, 1])
FRAGMENTS_OVERLAPPING = bytes([14, 0, 1, 3, 4, 8])
SUPER = bytes([14, 1, 20])
LEAVE_TCP, LEAVE_UDP, LEAVE_PING = (bytes([10, 0, 0, 0, PORTS[80], *kind]) for kind in ([0, 7], [1], [2]))


def complain(kind, back=0):
    return bytes([9, back, 1, kind])


def complain_to_another(kind, who):
    """To one of our addresses that the packet did not come from, perhaps."""
    return bytes([9, 0, 10, kind, who])


def wait(span):
    return bytes([12, span])


def reload(rules):
    return bytes([13, rules])


def sequence_seeds():
    web = handshake(80) + answer("get", flags="psh") + answer("get", flags="psh")
    yield "web", web + answer(flags="fin") + answer(flags="fin") + answer()
    yield "web_reset", web + answer(flags="rst")
    yield "web_again", web + answer(flags="fin") + answer(flags="fin") + answer() + wait(6) + connect(80)
    yield "preserved", handshake(443) + answer("get", flags="psh") + answer("long", flags="psh")
    yield "names", ASK + say("get") + wait(5) + ASK + say("get") + wait(7)
    yield "ping", PING + PING + wait(2)
    yield "egress", (LEAVE_TCP + greet() + answer() + answer("get", flags="psh") + LEAVE_UDP + say("get") + LEAVE_PING
                     + say())
    yield "errors", (web + complain(0) + complain(1, back=1) + complain(3, back=2) + ASK + complain(0) + LEAVE_UDP
                     + complain(0))
    yield "errors_astray", ASK + complain_to_another(0, 0) + web + complain_to_another(2, 1) + complain_to_another(0, 3)
    yield "fragments", FRAGMENTS + ASK + FRAGMENTS + say("long") + FRAGMENTS_BACKWARD + say("long")
    yield "fragments_overlapping", FRAGMENTS_OVERLAPPING + ASK + ASK
    yield "fragments_late", bytes([14, 0, 1, 3, 4, 16]) + ASK + wait(5)
    yield "fragments_tcp", handshake(80) + FRAGMENTS + answer("long", flags="psh") + FRAGMENTS + answer("long")
    yield "super", handshake(80) + SUPER + answer("long", flags="psh")
    yield "reloads", web + reload(1) + answer("get") + wait(1) + web + reload(2) + wait(1) + web + reload(3) + wait(1)
    yield "limits", b"".join(connect(81, client_port=port) + greet() + answer() for port in range(5)) + wait(4)
    yield "wildcard", handshake(9, vip=1) + answer("get", flags="psh")
    yield "land", connect(80, client=6) + connect(80, client=7) + bytes([1, 6, 0, 0, PORTS[53], 1, 0])
    yield "silence", handshake(80) + wait(7)
    for port, name in ((21, "files"), (2121, "preserved_files")):
        hello = handshake(port) + answer("220", flags="psh") + answer("user", flags="psh")
        yield name + "_port", hello + go_on("port") + CONNECT_TO_ANNOUNCED + greet() + answer("get")
        yield name + "_eprt", hello + go_on("eprt") + CONNECT_TO_ANNOUNCED + greet() + go_on("two", back=3)
        yield name + "_pasv", hello + go_on("pasv") + answer("227", flags="psh") + CONNECT_TO_ANNOUNCED + greet()
        yield name + "_epsv", hello + go_on("epsv") + answer("229", flags="psh") + CONNECT_TO_ANNOUNCED + greet()
        yield name + "_third", hello + go_on("third_party") + CONNECT_TO_ANNOUNCED
        yield name + "_low", hello + go_on("low_port") + CONNECT_TO_ANNOUNCED + greet() + go_on("auth")
        yield name + "_parts", hello + go_on_with(half("port", 3)) + go_on("rest") + bytes([8, 0]) + reload(1)


def in_batches(seeds):
    """With the first byte: one packet at a time, and several."""
    for i, (name, events) in enumerate(seeds):
        yield name, bytes([i * 5 % 32]) + events


TARGETS = {"config": config_seeds, "packet": packet_seeds, "pcap": pcap_seeds,
           "sequence": lambda: in_batches(sequence_seeds())}


def main():
    for target, seeds in TARGETS.items():
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
