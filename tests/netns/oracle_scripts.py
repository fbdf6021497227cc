"""The traffic that vipgate and the kernel are both given, a conversation each. Read C as "the client sends", S as "the server sends"."""

from conversation import C, S, complaint, datagram

MSS, WSCALE, SACK_OK, STAMP = b"\x02\x04\x05\xb4", b"\x01\x03\x03\x07", b"\x01\x01\x04\x02", b"\x01\x01\x08\x0a"
SYN_OPTIONS = MSS + WSCALE + SACK_OK


def sack(*edges):
    return bytes([1, 1, 5, 2 + 4 * len(edges)]) + b"".join(edge.to_bytes(4, "big") for edge in edges)


def stamp(value, echo):
    return STAMP + value.to_bytes(4, "big") + echo.to_bytes(4, "big")


OPEN = [C("S", options=SYN_OPTIONS), S("SA", 0, 1, options=SYN_OPTIONS), C("A", 1, 1)]
OPEN_UNSCALED = [C("S", options=MSS), S("SA", 0, 1, options=MSS), C("A", 1, 1)]
REQUEST = [C("PA", 1, 1, b"request"), S("A", 1, 8)]
ANSWER = [S("PA", 1, 8, b"answer"), C("A", 8, 7)]
TALK = REQUEST + ANSWER
CLIENT_CLOSES = [C("FA", 8, 7), S("A", 7, 9), S("FA", 7, 9), C("A", 9, 8)]
SERVER_CLOSES = [S("FA", 7, 8), C("A", 8, 8), C("FA", 8, 8), S("A", 8, 9)]
MORE = [C("PA", 8, 7, b"more"), S("A", 7, 12)]  # shows that a conversation goes on

SCRIPTS = {
    # Opening
    "open_talk_client_closes": OPEN + TALK + CLIENT_CLOSES,
    "open_talk_server_closes": OPEN + TALK + SERVER_CLOSES,
    "syn_retransmitted": [OPEN[0], OPEN[0], *OPEN[1:], *TALK],
    "syn_with_another_sequence": [OPEN[0], C("S", 100, options=SYN_OPTIONS), S("SA", 0, 101, options=SYN_OPTIONS), C("A", 101, 1)],
    "syn_ack_retransmitted": [*OPEN[:2], OPEN[1], OPEN[2], *TALK],
    "syn_ack_after_the_handshake": OPEN + [OPEN[1], C("A", 1, 1)] + TALK,
    "syn_ack_acknowledges_nonsense": [OPEN[0], S("SA", 0, 5000, options=SYN_OPTIONS), OPEN[1], OPEN[2]] + TALK,
    "syn_refused_then_tried_again": [OPEN[0], S("RA", 0, 1), OPEN[0], S("RA", 0, 1), *OPEN],
    "syn_given_up_by_the_client": [OPEN[0], C("R", 1), S("SA", 0, 1, options=SYN_OPTIONS)],
    "syn_with_data": [C("S", data=b"early", options=SYN_OPTIONS), S("SA", 0, 6, options=SYN_OPTIONS), C("A", 6, 1)],
    "syn_offers_ecn": [C("SEC", options=SYN_OPTIONS), S("SAE", 0, 1, options=SYN_OPTIONS), OPEN[2], C("PAC", 1, 1, b"x"), S("AE", 1, 2)],
    "simultaneous_open": [C("S", options=SYN_OPTIONS), S("S", options=SYN_OPTIONS), C("SA", 0, 1), S("SA", 0, 1), C("A", 1, 1)] + TALK,
    "syn_in_an_open_conversation": OPEN + TALK + [C("S", 50_000_000), S("A", 7, 8), *MORE],
    "syn_from_the_server_in_an_open_conversation": OPEN + TALK + [S("S", 50_000_000), C("A", 8, 7), *MORE],
    "timestamps": [
        C("S", options=MSS + stamp(100, 0)), S("SA", 0, 1, options=MSS + stamp(900, 100)), C("A", 1, 1, options=stamp(101, 900)),
        C("PA", 1, 1, b"request", options=stamp(102, 900)), S("A", 1, 8, options=stamp(901, 102)),
    ],
    # Closing
    "simultaneous_close": OPEN + TALK + [C("FA", 8, 7), S("FA", 7, 8), C("A", 9, 8), S("A", 8, 9)],
    "fin_retransmitted": OPEN + TALK + [C("FA", 8, 7), C("FA", 8, 7), S("A", 7, 9), S("FA", 7, 9), S("FA", 7, 9), C("A", 9, 8), C("A", 9, 8)],
    "fin_and_ack_in_one": OPEN + TALK + [C("FA", 8, 7), S("FA", 7, 9), C("A", 9, 8)],
    "fin_with_data": OPEN + [C("FPA", 1, 1, b"request"), S("FPA", 1, 9, b"answer"), C("A", 9, 8)],
    "half_closed": OPEN + TALK + [C("FA", 8, 7), S("A", 7, 9), S("PA", 7, 9, b"tail"), C("A", 9, 11), S("FA", 11, 9), C("A", 9, 12)],
    "late_acknowledgements": OPEN + TALK + CLIENT_CLOSES + [C("A", 9, 8), S("A", 8, 9), C("A", 8, 7)],
    "data_after_the_end": OPEN + TALK + CLIENT_CLOSES + [C("PA", 9, 8, b"ghost"), S("PA", 8, 9, b"ghost")],
    "opened_again_after_the_client_closed": OPEN + TALK + CLIENT_CLOSES + [C("S", 100_000), S("SA", 200_000, 100_001), C("A", 100_001, 200_001)],
    "opened_again_after_the_server_closed": OPEN + TALK + SERVER_CLOSES + [C("S", 100_000), S("SA", 200_000, 100_001), C("A", 100_001, 200_001)],
    # Sequence numbers
    "retransmissions": OPEN + [REQUEST[0], *REQUEST, REQUEST[1], ANSWER[0], *ANSWER, ANSWER[1], *MORE],
    "out_of_order": OPEN + [C("PA", 4, 1, b"uest"), S("A", 1, 1, options=sack(1004, 1008)), C("A", 1, 1, b"req"), S("A", 1, 8), *ANSWER],
    "far_ahead": OPEN + TALK + [C("PA", 20_000_000, 7, b"far"), S("PA", 30_000_000, 8, b"far"), *MORE],
    "far_behind": OPEN + TALK + [C("PA", -20_000_000, 7, b"far"), S("PA", -20_000_000, 8, b"far"), *MORE],
    "acknowledges_what_was_not_sent": OPEN + TALK + [C("A", 8, 5_000_000), S("A", 7, 5_000_000), *MORE],
    "acknowledges_long_ago": OPEN + TALK + [C("A", 8, -500_000), S("A", 7, -500_000), *MORE],
    "beyond_an_unscaled_window": OPEN_UNSCALED + TALK + [C("A", 8 + 70_000, 7, b"over"), S("A", 7 + 70_000, 8, b"over"), *MORE],
    "within_a_scaled_window": OPEN + TALK + [C("A", 8 + 70_000, 7, b"in"), S("A", 7, 8, options=sack(71_008, 71_010)), *MORE],
    "only_one_side_scales": [OPEN[0], S("SA", 0, 1, options=MSS), OPEN[2], *TALK, C("A", 8 + 70_000, 7, b"over"), *MORE],
    "scale_beyond_fourteen": [C("S", options=MSS + b"\x01\x03\x03\xff"), S("SA", 0, 1, options=MSS + b"\x01\x03\x03\x0e"), OPEN[2], *TALK],
    "window_closed_and_probed": OPEN + TALK + [S("A", 7, 8, window=0), C("A", 7, 7), S("A", 7, 8, window=0), C("A", 8, 7, b"p"), S("A", 7, 9)],
    "keep_alive": OPEN + TALK + [C("A", 7, 7), S("A", 7, 8), C("A", 7, 7, b"\0"), S("A", 7, 8), S("A", 6, 8), C("A", 8, 7)],
    "duplicate_acknowledgements_with_sack": OPEN + REQUEST + [S("A", 1, 8, options=sack(1108, 1208))] * 3 + ANSWER,
    "urgent": OPEN + [C("PAU", 1, 1, b"urgent!", urgent=7), S("A", 1, 8), *ANSWER],
    # Resets
    "reset_by_the_client": OPEN + TALK + [C("R", 8), S("PA", 7, 8, b"late"), C("PA", 8, 7, b"late")],
    "reset_by_the_server": OPEN + TALK + [S("R", 7), C("PA", 8, 7, b"late"), S("PA", 7, 8, b"late")],
    "reset_with_acknowledgement": OPEN + TALK + [S("RA", 7, 8), C("PA", 8, 7, b"late")],
    "reset_inside_the_window": OPEN + TALK + [C("R", 100), S("A", 7, 8), *MORE],
    "reset_inside_the_window_by_the_server": OPEN + TALK + [S("R", 100), C("A", 8, 7), *MORE],
    "reset_outside_the_window": OPEN + TALK + [C("R", 40_000_000), S("R", 40_000_000), *MORE],
    "reset_of_old_sequence": OPEN + TALK + [C("R", 1), S("R", 1), *MORE],
    "reset_then_opened_again": OPEN + TALK + [C("R", 8), C("S", 100_000), S("SA", 200_000, 100_001), C("A", 100_001, 200_001)],
    # What no stack sends
    "odd_flags_first": [C(flags) for flags in ("", "F", "P", "U", "SF", "SR", "SFRPAU", "FPU", "RF", "SP")],
    "odd_flags_in_between": OPEN + TALK + [C(flags, 8, 7) for flags in ("", "F", "P", "SF", "SR", "SFRPAU", "FPU", "RF")] + MORE,
    "wrong_checksum": [C("S", spoil=True), *OPEN, C("PA", 1, 1, b"request", spoil=True), *TALK, S("R", 7, spoil=True), *MORE],
    "option_of_length_zero": [C("S", options=b"\x02\x00\x05\xb4"), S("SA", 0, 1, options=b"\x03\x00\x01\x01"), OPEN[2], *TALK],
    "option_cut_off": [C("S", options=MSS + b"\x01\x01\x01\x03"), S("SA", 0, 1, options=b"\x01\x01\x08\x0a"), OPEN[2], *TALK],
    # Of no conversation
    "acknowledgement_of_nothing": [C("A", 1, 1), S("A", 1, 1)],
    "data_of_nothing": [C("PA", 1, 1, b"hello")],
    "end_of_nothing": [C("FA", 1, 1), C("RA", 1, 1), C("R", 1)],
    "answer_to_nothing": [C("SA", 1, 1)],
    # UDP, and ICMP about it
    "datagrams": [datagram(True, b"question"), datagram(False, b"answer"), datagram(True, b""), datagram(False, b"again")],
    "several_answers": [datagram(True, b"question")] + [datagram(False, b"part %d" % part) for part in range(3)],
    "port_unreachable": [datagram(True, b"question"), complaint(False, 3, 3)],
    "port_unreachable_by_the_client": [datagram(True, b"question"), datagram(False, b"answer"), complaint(True, 3, 3)],
    "port_unreachable_shortest": [datagram(True, b"question"), complaint(False, 3, 3, quoted=28), datagram(True, b"again")],
    # ICMP about TCP
    "too_big": OPEN + TALK + [S("A", 7, 8, b"x" * 1000), complaint(True, 3, 4, 576), C("A", 8, 7, b"y" * 1000), complaint(False, 3, 4, 1200), *MORE],
    "unreachable_while_opening": [OPEN[0], complaint(False, 3, 1, quoted=28)],
    "time_exceeded": OPEN + [C("PA", 1, 1, b"request"), complaint(False, 11, 0, quoted=28), S("A", 1, 8)],
}
