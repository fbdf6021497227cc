"""Datagrams in fragments for both gateways. What arrives is put together again before it is looked at."""

from conversation import C, S, complaint, cut, datagram, pieces, ping
from oracle_scripts import MORE, OPEN, SYN_OPTIONS, TALK


def content(size, seed=1):
    """Bytes in which no two places look alike."""
    return b"".join((seed << 24 | number).to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


# 2,400 bytes with UDP's or ICMP's header: three pieces of 800
TO_SERVER, TO_CLIENT, ECHO = datagram(True, content(2392)), datagram(False, content(2392)), ping(content(2392))
KNOWN = [datagram(True, b"question")]  # after which the server knows the client
PARTS = ((0, 800), (800, 1600), (1600, None))
TINY = (*((at, at + 8) for at in range(0, 80, 8)), (80, 1200), (1200, None))

WAYS = {
    # name: (pieces, their order)
    "in_order": (PARTS, None),
    "reversed": (PARTS, (2, 1, 0)),
    "last_first": (PARTS, (2, 0, 1)),
    "each_twice": (PARTS, (0, 0, 1, 1, 2, 2)),
    "first_again_at_the_end": (PARTS, (0, 1, 0, 2)),
    "twice": (PARTS, (0, 1, 2, 0, 1, 2)),
    "first_missing": (PARTS, (1, 2)),
    "middle_missing": (PARTS, (0, 2)),
    "last_missing": (PARTS, (0, 1)),
    "missing_one_comes_late": (PARTS, (0, 2, 0, 2, 1)),
    "overlap_at_the_end": (((0, 808), (800, 1600), (1600, None)), None),
    "overlap_at_the_beginning": (((0, 800), (792, 1600), (1600, None)), (2, 1, 0)),
    "overlap_over_two": (((0, 800), (800, 1600), (400, 1208), (1600, None)), None),
    "overlap_within": (((0, 800), (400, 600), (800, 1600), (1600, None)), None),
    "overlap_around": (((400, 600), (0, 800), (800, 1600), (1600, None)), None),
    "overlap_then_all_again": (((0, 808), *PARTS), (0, 2, 3, 1, 2, 3)),
    "ends_twice": ((*PARTS[:2], (800, 1600, False), PARTS[2]), (0, 2, 3, 1)),
    "goes_on_behind_its_end": ((PARTS[0], (800, 1600, False), (1600, 2400, True)), (1, 2, 0)),
    "beyond_the_largest": ((*PARTS[:2], (0, 800, False, 65528)), None),
    "tiny_first": (((0, 8), (8, 800), *PARTS[1:]), None),
    "tiny_pieces": (TINY, None),
    "tiny_pieces_reversed": (TINY, range(len(TINY) - 1, -1, -1)),
    "not_a_multiple_of_eight": (((0, 803), (800, 1600), (1600, None)), None),
    "empty_piece": (((0, 800), (800, 800), *PARTS[1:]), None),
}


def several(step, count):
    """A datagram in `count` pieces: in order, and reversed."""
    borders = range(400, 400 * count, 400)
    return [cut(step, *borders), cut(step, *borders, order=range(count - 1, -1, -1))]


SCRIPTS = {}
for way, (ranges, order) in WAYS.items():
    SCRIPTS[f"question_{way}"] = [pieces(TO_SERVER, *ranges, order=order), datagram(True, b"another")]
    SCRIPTS[f"answer_{way}"] = KNOWN + [pieces(TO_CLIENT, *ranges, order=order), datagram(False, b"another")]
    SCRIPTS[f"echo_{way}"] = [pieces(ECHO, *ranges, order=order), ping(b"another")]

# RFC 3168, section 5.3: congestion that one piece met; and pieces that contradict each other
MARKS = {"not_ect": 0, "ect1": 1, "ect0": 2, "congestion": 3}
for first_name, first in MARKS.items():
    for second_name, second in MARKS.items():
        SCRIPTS[f"marked_{first_name}_and_{second_name}"] = [cut(TO_SERVER, 1200, tos=(first, second)), datagram(True, b"another")]

REQUEST, ANSWER = C("PA", 1, 1, content(1200)), S("PA", 1, 1201, content(1200, 2))
SCRIPTS |= {
    **{f"in_{count}_pieces": several(datagram(True, content(400 * count - 100)), count)
       + several(datagram(False, content(400 * count - 100, 2)), count) for count in range(2, 11)},
    "largest": [cut(datagram(True, content(65507)), *range(1480, 65507, 1480))],
    "largest_answer": KNOWN + [cut(datagram(False, content(65507)), *range(1480, 65507, 1480))],
    "unsummed": [cut(datagram(True, content(2000), summed=False), 800), cut(datagram(False, content(2000), summed=False), 800)],
    "options_in_every_piece": [cut(datagram(True, content(2000), ip_options=b"\1\1\1\0"), 800)],
    "segments": OPEN + [cut(REQUEST, 200, 600), S("A", 1, 1201), cut(ANSWER, 600, order=(1, 0)), C("A", 1201, 1201)],
    "segment_with_its_header_alone": OPEN + [cut(REQUEST, 24), S("A", 1, 1201)],
    "segment_missing_one": OPEN + [pieces(REQUEST, (0, 200), (600, None)), REQUEST, S("A", 1, 1201)],
    "segment_parted_in_its_header": OPEN + [cut(REQUEST, 8), cut(REQUEST, 16), REQUEST, S("A", 1, 1201)],
    "segment_overlap_in_its_header": OPEN + [pieces(REQUEST, (0, 600), (8, 200), (600, None)), REQUEST, S("A", 1, 1201)],
    "syn": [cut(C("S", options=SYN_OPTIONS), 24), cut(S("SA", 0, 1, options=SYN_OPTIONS), 24), *OPEN[2:], *TALK, *MORE],
    "largest_segment": OPEN + [cut(C("PA", 1, 1, content(64000)), *range(1480, 64000, 1480)), S("A", 1, 64001)],
    "wrong_checksum": [cut(C("S", options=SYN_OPTIONS, spoil=True), 24), *OPEN, *TALK],
    "error_in_pieces": OPEN + [C("PA", 1, 1, content(1200)), cut(complaint(False, 3, 1), 8, 400)],
    "error_about_fragments": [cut(datagram(True, content(2000)), 800), complaint(False, 3, 3, quoted=28)],
    "ports_parted": [cut(datagram(True, content(100)), 8, order=(1, 0))],
}
