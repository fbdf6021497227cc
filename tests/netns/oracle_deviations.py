"""Where vipgate means to differ from the kernel: which steps of a script, from 0, and why."""

# TCP
ANSWERS = "a segment of no flow is answered with RST, so that its sender does not wait in vain; the kernel drops it silently"
JOINS = "with the client's address preserved, a conversation can be joined in the middle; the judge has tcp_loose off"
LINGERS = "a flow outlives its RST (RFC 7857, section 2.2), so a SYN/ACK that crossed it still arrives"

# ICMP errors
SMALL_ENOUGH = "an MTU counts only if the packet does not fit it, and if a link can have it (RFC 791: 68); the kernel does not look"
NOT_IN_FLIGHT = "an error about TCP must quote what is in flight (RFC 5927, section 4.1); the kernel does not look"
BROKEN = "an error is dropped if the quoted IP header's checksum is wrong (RFC 5508, REQ-3); the kernel does not look"
QUENCHED = "source quench is obsolete (RFC 6633); the kernel still translates it"
PASSES = "what a backend of a preserve service sends and belongs to no flow is routed as it is, its errors too; the judge's rules drop it"

# Fragments
OVERLAPS = "whatever overlaps discards its datagram (RFC 5722); to the kernel a piece within others is a duplicate"
STAYS_DISCARDED = "a datagram stays discarded until its time is over (RFC 5722); the kernel begins anew"
ODD_LENGTH = "a piece that ends within 8 bytes is dropped; the kernel shortens it"
EMPTY = "an empty piece is dropped alone; the kernel discards its datagram, too"
TINY = "no fragment border within the TCP header (RFC 1858, RFC 3128)"

# FTP
SILENT = "a port that is given out, or could be, is not answered: the private host may be about to use it (RFC 5382, REQ-4)"
NOT_USED_UP = "what is no SYN does not use an announcement up"
THIRD_PARTY = "a third party, or a port below 1024, is announced to nobody (RFC 2577, section 3)"
NO_ENDPOINT = "what names no endpoint is the server's to refuse; the kernel drops it, and so ends the conversation"
FIRST_LINE = "the first line counts; the kernel waits for the end of one"
DELIMITER = "the delimiter stays the sender's (RFC 2428, section 2)"
BY_NAME = "a server that already names the VIP means itself"
IN_PARTS = "a line may come in parts; the kernel drops the beginning and then misses the end"
EVERY_LINE = "every line of a segment counts; to the kernel, the first"
ANOTHER_PORT = "what is announced has a port of the conversation's shard, where the kernel keeps the client's"

BY_CHANCE_ALIKE = {ANOTHER_PORT}  # one in 64: the client's own port is of the shard
DROPS = {SMALL_ENOUGH, NOT_IN_FLIGHT, BROKEN, QUENCHED, OVERLAPS, STAYS_DISCARDED, ODD_LENGTH, TINY, SILENT}  # nothing may arrive

DEVIATIONS = {
    ("masquerade", "acknowledgement_of_nothing"): ([0, 1], ANSWERS),
    ("masquerade", "data_of_nothing"): ([0], ANSWERS),
    ("preserve", "acknowledgement_of_nothing"): ([0, 1], JOINS),
    ("preserve", "data_of_nothing"): ([0], JOINS),
    "syn_given_up_by_the_client": ([2], LINGERS),
    "end_of_nothing": ([0], ANSWERS),
    "answer_to_nothing": ([0], ANSWERS),
    "too_big": ([10], SMALL_ENOUGH),
    # ICMP errors
    "request_too_big": (range(10, 16), SMALL_ENOUGH),
    "answer_too_big": (range(11, 17), SMALL_ENOUGH),
    "question_too_big": (range(7, 13), SMALL_ENOUGH),
    "reply_too_big": (range(8, 14), SMALL_ENOUGH),
    "request_outside": (range(4, 7), NOT_IN_FLIGHT),
    "answer_outside": (range(5, 8), NOT_IN_FLIGHT),
    "acknowledged_long_ago": ([9, 10], NOT_IN_FLIGHT),
    ("preserve", "request_redirected_and_quenched"): ([4, 5], PASSES),
    ("preserve", "question_redirected_and_quenched"): ([1, 2], PASSES),
    "request_redirected_and_quenched": ([5], QUENCHED),
    "answer_redirected_and_quenched": ([6], QUENCHED),
    "question_redirected_and_quenched": ([2], QUENCHED),
    "reply_redirected_and_quenched": ([3], QUENCHED),
    # Fragments
    "segment_parted_in_its_header": ([3, 4], TINY),
    # FTP
    "pasv_unannounced": ([8], SILENT),
    "epsv_unannounced": ([8], SILENT),
    "port_from_the_wrong_side": ([11], SILENT),
    "eprt_from_the_wrong_side": ([11], SILENT),
    "pasv_by_a_stranger": ([11], SILENT),
    "epsv_by_a_stranger": ([11], SILENT),
    "used_twice": ([13], SILENT),
    ("preserve", "port_by_a_stranger"): ([11], ANOTHER_PORT),
    ("preserve", "eprt_by_a_stranger"): ([11], ANOTHER_PORT),
    **{f"{way}_not_with_syn": (range(12, 20), NOT_USED_UP) for way in ("port", "eprt", "pasv", "epsv")},
    **{script: ([8], THIRD_PARTY) for script in
       ("port_of_a_third_party", "eprt_of_a_third_party", "port_below_1024", "pasv_below_1024")},
    "eprt_of_another_family": (range(8, 19), NO_ENDPOINT),
    **{script: (range(8, 22), NO_ENDPOINT) for script in
       ("port_too_short", "port_of_words", "port_alone", "eprt_without_end", "eprt_of_port_zero")},
    ("masquerade", "first_line"): ([5, *range(8, 16)], FIRST_LINE),
    ("preserve", "first_line"): (range(8, 16), FIRST_LINE),  # the line itself is right without an edit
    "eprt_with_another_delimiter": ([8], DELIMITER),
    "epsv_with_another_delimiter": ([9], DELIMITER),
    "pasv_names_the_vip": (range(11, 19), BY_NAME),
    "line_in_two": (range(8, 23), IN_PARTS),
    "line_without_its_end": (range(8, 21), IN_PARTS),
    "reply_in_two": (range(9, 21), IN_PARTS),
    ("masquerade", "two_in_one_segment"): ([8, *range(11, 19)], EVERY_LINE),
    ("preserve", "two_in_one_segment"): (range(11, 19), EVERY_LINE),
}

for about, before in (("request", 4), ("answer", 5), ("question", 1), ("reply", 2)):
    for script in (f"{about}_forged", f"{about}_forged_shortest"):
        DEVIATIONS[script] = ([before + 4], BROKEN)
        if about in ("request", "question"):  # the backend is who complains, first about another conversation
            DEVIATIONS["preserve", script] = ([before, before + 4], f"{PASSES}; {BROKEN}")

for sent, at in (("question", 0), ("answer", 1), ("echo", 0)):
    for way, reason in (("overlap_over_two", OVERLAPS), ("overlap_within", OVERLAPS), ("overlap_then_all_again", STAYS_DISCARDED),
                        ("not_a_multiple_of_eight", ODD_LENGTH), ("empty_piece", EMPTY)):
        DEVIATIONS[f"{sent}_{way}"] = ([at], reason)


def expected(source, script):
    """The steps that differ, and why."""
    steps, reason = DEVIATIONS.get((source, script)) or DEVIATIONS.get(script) or ([], "the kernel is right")
    return list(steps), reason
