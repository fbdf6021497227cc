"""Sends every UDP datagram back. Arguments: address, port."""

import socket
import sys


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((sys.argv[1], int(sys.argv[2])))
        while True:
            data, peer = server.recvfrom(65535)
            server.sendto(data, peer)


if __name__ == "__main__":
    main()
