"""FTP control connections for both gateways, with the data connections that they announce, and those that they do not."""

from ftp_conversation import again, client_data, client_line, client_sends, server_data, server_line, server_sends

CONNECT = [client_sends("S"), server_sends("SA"), client_sends("A"), server_line("220 ready"), client_sends("A")]
OPEN = CONNECT + [client_line("USER me"), server_line("230 in"), client_sends("A")]
PORT, EPRT = "PORT {client}", "EPRT |1|{client_address}|{client_port}|"
PASV_REPLY = "227 Entering Passive Mode ({server})."
EPSV_REPLY = "229 Entering Extended Passive Mode (|||{server_port}|)"
TAKEN = [server_line("200 fine"), client_sends("A")]
BYE = [client_line("QUIT"), server_line("221 bye"), client_sends("A"), client_sends("FA"), server_sends("FA"), client_sends("A")]


def passive(ask, answer):
    return [client_line(ask), server_line(answer), client_sends("A")]


CLIENT_OPENS = [
    client_data("S"), server_data("SA", 0, 1), client_data("A", 1, 1), server_data("PA", 1, 1, b"file"), client_data("A", 1, 5),
    server_data("FA", 5, 1), client_data("FA", 1, 6), server_data("A", 6, 2),
]
SERVER_OPENS = [
    server_data("S"), client_data("SA", 0, 1), server_data("A", 1, 1), server_data("PA", 1, 1, b"file"), client_data("A", 1, 5),
    server_data("FA", 5, 1), client_data("FA", 1, 6), server_data("A", 6, 2),
]
PASV, EPSV = passive("PASV", PASV_REPLY), passive("EPSV", EPSV_REPLY)
WITH_PORT, WITH_EPRT = [client_line(PORT), *TAKEN], [client_line(EPRT), *TAKEN]
WAYS = {
    # name: (what announces the data connection, what opens it)
    "port": (WITH_PORT, SERVER_OPENS),
    "eprt": (WITH_EPRT, SERVER_OPENS),
    "pasv": (PASV, CLIENT_OPENS),
    "epsv": (EPSV, CLIENT_OPENS),
}
RETRIEVE = [client_line("RETR file"), server_line("150 here it comes"), client_sends("A")]
DONE = [server_line("226 done"), client_sends("A")]
OPENINGS = {True: client_data, False: server_data}

SCRIPTS = {}
for way, (announce, opens) in WAYS.items():
    first, by_client = opens[0], opens[0].from_client
    SCRIPTS[f"{way}"] = OPEN + announce + RETRIEVE + opens + DONE + BYE
    SCRIPTS[f"{way}_from_the_wrong_side"] = OPEN + announce + [OPENINGS[not by_client]("S")]
    SCRIPTS[f"{way}_by_a_stranger"] = OPEN + announce + [OPENINGS[by_client]("S", stranger=True)] + opens + DONE
    SCRIPTS[f"{way}_unannounced"] = OPEN + [first] + DONE
    SCRIPTS[f"{way}_syn_again"] = OPEN + announce + [first, *opens]
    SCRIPTS[f"{way}_not_with_syn"] = OPEN + announce + [OPENINGS[by_client]("A", 1, 1), *opens]
    SCRIPTS[f"{way}_answered_with_reset"] = OPEN + announce + [first, OPENINGS[not by_client]("RA", 0, 1)] + DONE
    SCRIPTS[f"{way}_many_times"] = OPEN + announce * 4 + RETRIEVE + DONE + opens + BYE

THIRD = {
    # lines that announce what is not the sender's, or not allowed
    "port_of_a_third_party": client_line("PORT {third_client}"),
    "eprt_of_a_third_party": client_line("EPRT |1|{third_client_address}|{client_port}|"),
    "pasv_of_a_third_party": server_line("227 Entering Passive Mode ({third_server})."),
    "port_below_1024": client_line("PORT {low}"),
    "pasv_below_1024": server_line("227 Entering Passive Mode ({low_of_server})."),
    "eprt_of_another_family": client_line("EPRT |2|::1|{client_port}|"),
}
for script, line in THIRD.items():
    SCRIPTS[script] = OPEN + [line, client_sends("A"), server_sends("A"), *TAKEN, *BYE]

BROKEN = {
    # lines that are none, or odd ones
    "port_too_large": "PORT 1,2,3,4,5,256",
    "port_too_short": "PORT 1,2,3,4,5",
    "port_of_words": "PORT of call",
    "port_alone": "PORT",
    "eprt_without_end": "EPRT |1|{client_address}|{client_port}",
    "eprt_of_port_zero": "EPRT |1|{client_address}|0|",
    "port_within_a_name": "STOR PORT {client}",
}
for script, text in BROKEN.items():
    SCRIPTS[script] = OPEN + [client_line(text), server_line("500 what"), client_sends("A")] + WITH_PORT + SERVER_OPENS

SCRIPTS |= {
    "first_line": CONNECT + WITH_PORT + SERVER_OPENS + BYE,
    "small_letters": OPEN + [client_line("port {client}"), *TAKEN, *SERVER_OPENS, *DONE],
    "eprt_with_another_delimiter": OPEN + [client_line("EPRT !1!{client_address}!{client_port}!"), *TAKEN, *DONE],
    "pasv_without_brackets": OPEN + passive("PASV", "227 Entering Passive Mode. {server}") + CLIENT_OPENS,
    "pasv_with_an_equals_sign": OPEN + passive("PASV", "227 =={server}") + CLIENT_OPENS,
    "pasv_names_the_vip": OPEN + passive("PASV", "227 Entering Passive Mode ({vip}).") + CLIENT_OPENS,
    "epsv_with_another_delimiter": OPEN + passive("EPSV", "229 fine (!!!{server_port}!)") + CLIENT_OPENS,
    "epsv_all": OPEN + [client_line("EPSV ALL"), *TAKEN, *EPSV, *CLIENT_OPENS],
    "server_says_port": OPEN + [server_line("PORT {server}"), client_sends("A"), *BYE],
    "client_says_227": OPEN + [client_line(PASV_REPLY), *TAKEN, *BYE],
    "line_in_two": OPEN + [client_line(PORT, end=12), server_sends("A"), client_line(PORT, begin=12), *TAKEN, *SERVER_OPENS, *DONE],
    "line_without_its_end": OPEN + [client_line(PORT, end=-2), server_sends("A"), client_sends("PA", "\r\n"), *TAKEN, *SERVER_OPENS],
    "reply_in_two": OPEN + [
        client_line("PASV"), server_line(PASV_REPLY, end=30), client_sends("A"), server_line(PASV_REPLY, begin=30), client_sends("A"),
        *CLIENT_OPENS],
    "two_in_one_segment": OPEN + [client_line(f"NOOP\r\n{PORT}"), *TAKEN, *SERVER_OPENS, *DONE],
    "one_more_in_the_segment": OPEN + [client_line(f"{PORT}\r\nNOOP"), *TAKEN, *SERVER_OPENS, *DONE],
    "reply_within_another": OPEN + [server_line("230-227 Entering Passive Mode ({server})."), server_line("230 in"), client_sends("A")],
    "port_again": OPEN + [client_line(PORT), again(True), *TAKEN, again(True), *SERVER_OPENS, *DONE, *BYE],
    "pasv_again": OPEN + [*PASV[:2], again(False), PASV[2], *CLIENT_OPENS, *DONE, *BYE],
    "again_after_more": OPEN + [*WITH_PORT, client_line("NOOP"), again(True), server_line("200 ok"), again(False), client_sends("A")],
    "used_twice": OPEN + PASV + [client_data("S"), client_data("R", 1), client_data("S", 100_000)],
    "reset_after_an_edit": OPEN + WITH_PORT + [client_sends("R")],
    "both_sides_edited": OPEN + [step for announce, _ in WAYS.values() for step in announce] + RETRIEVE + DONE + BYE,
}
