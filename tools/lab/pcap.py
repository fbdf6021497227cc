"""Capture files: raw IP packets with nanoseconds, as `record.py` and `vipgate replay --write` make them."""

import struct

_MAGIC, _LINKTYPE_RAW, _SNAPLEN = 0xA1B23C4D, 101, 262144


def write(path, packets):
    """Writes (nanoseconds, IPv4 packet) pairs; the first packet's time becomes one second."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW))
        for time, data in packets:
            seconds, rest = divmod(time - packets[0][0] + 10**9, 10**9)
            file.write(struct.pack("<IIII", seconds, rest, len(data), len(data)) + data)


def read(path):
    """The packets of such a file, without their times."""
    packets = []
    with open(path, "rb") as file:
        if struct.unpack("<IHHiIII", file.read(24))[::6] != (_MAGIC, _LINKTYPE_RAW):
            raise ValueError(f"{path}: not a capture of raw IP with nanoseconds")
        while header := file.read(16):
            packets.append(file.read(struct.unpack("<IIII", header)[2]))
    return packets
