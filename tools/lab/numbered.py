"""A stream of numbered datagrams: `send ADDRESS PORT FLOWS RATE` until its standard input ends, and `receive ADDRESS PORT` likewise.

Both say at their end, as JSON, by flow, how many there were; the receiver also which came late, behind a higher number.
"""

import json
import select
import socket
import struct
import sys
import time

_NUMBER = struct.Struct("!IQ")  # flow, number
_ROOM = 64 << 20  # bytes that wait in the receiver's socket: a slow receiver must not look like loss


def _is_over():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def send(address, port, flows, rate):
    sockets = []
    for _ in range(flows):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect((address, port))
        sockets.append(one)
    sent, began = 0, time.monotonic()
    while not _is_over():
        due = int((time.monotonic() - began) * rate)
        for number in range(sent, min(due, sent + rate // 100)):
            sockets[number % flows].send(_NUMBER.pack(number % flows, number // flows))
            sent = number + 1
        if due > sent + rate // 10:  # far behind: this machine is slow, and a flood would prove nothing
            began = time.monotonic() - sent / rate
        time.sleep(0.001)
    return {"sent": sent, "seconds": time.monotonic() - began}


def receive(address, port):
    received, late, highest, twice = 0, 0, {}, set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, 33, _ROOM)  # SO_RCVBUFFORCE
        server.bind((address, port))
        server.settimeout(0.2)
        print("ready", flush=True)
        while True:
            try:
                flow, number = _NUMBER.unpack(server.recv(64))
            except TimeoutError:
                if _is_over():
                    break
                continue
            received += 1
            if number < highest.get(flow, -1):
                late += 1
            highest[flow] = max(number, highest.get(flow, -1))
            if (flow, number) in twice:
                late += 1
            twice.add((flow, number))
    return {"received": received, "late": late, "flows": len(highest)}


if __name__ == "__main__":
    words = [int(word) if word.isdigit() else word for word in sys.argv[2:]]
    print(json.dumps({"send": send, "receive": receive}[sys.argv[1]](*words)), flush=True)
