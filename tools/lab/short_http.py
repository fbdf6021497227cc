"""One HTTP connection after the other, every answer checked; silent when all are right.

Arguments: address, port, number of connections, the source address that the server must see. In turn the server and the client are
the first to close.
"""

import socket
import sys


def ask(address, port, number, server_closes):
    """One request on a connection of its own; returns the body of the answer."""
    with socket.create_connection((address, port), 30) as connection:
        last = "close" if server_closes else "keep-alive"
        connection.sendall(f"GET /id/{number} HTTP/1.1\r\nHost: vip\r\nConnection: {last}\r\n\r\n".encode())
        answer = b""
        while data := connection.recv(4096):
            answer += data
            if not server_closes and answer.partition(b"\r\n\r\n")[2].endswith(b"\n"):
                break
        return answer.partition(b"\r\n\r\n")[2].decode()


def main():
    address, port, count, source = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    for number in range(count):
        body = ask(address, port, number, server_closes=number % 2 == 0)
        if body != f"/id/{number} {source}\n":
            sys.exit(f"connection {number}: {body!r}")


if __name__ == "__main__":
    main()
