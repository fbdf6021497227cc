"""A download that goes on for a while, and how long it stood still."""

import hashlib
import socket
import threading
import time

_BUFFER = 128 << 10  # bytes: what lies here hides a pause
_PATIENCE = 60  # seconds that nothing may come


class Transfer:
    """Fetches a file of a web server at a steady rate, in a thread of its own."""

    def __init__(self, namespace, address, path, rate):
        """Begins at once. `rate`: bytes a second."""
        with namespace.entered():
            self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.settimeout(_PATIENCE)
        self._socket.connect((address, 80))
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n".encode())
        self._rate = rate
        self._digest = hashlib.sha256()
        self._error = None
        self._longest = 0.0
        self._waits_since = time.monotonic()
        self.received = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                head += self._receive()
            self._take(head.partition(b"\r\n\r\n")[2])
            while data := self._receive():
                self._take(data)
        except OSError as error:  # belongs to whoever waits for the end
            self._error = error

    def _receive(self):
        self._waits_since = time.monotonic()
        data = self._socket.recv(1 << 16)
        self._longest = max(self._longest, time.monotonic() - self._waits_since)
        return data

    def _take(self, data):
        self._digest.update(data)
        self.received += len(data)
        if self._rate:
            time.sleep(len(data) / self._rate)

    def going(self):
        return self._thread.is_alive()

    def gap(self, during, further):
        """Calls `during`, then waits until `further` bytes have come. Returns how long nothing came at the longest, in seconds."""
        self._longest = 0.0
        during()
        goal = self.received + further
        while self.received < goal and self.going():
            time.sleep(0.01)
        return self._longest

    def finish(self):
        """Takes the rest as fast as it comes. Returns the SHA-256 of what came; raises what went wrong."""
        self._rate = None
        self._thread.join()
        self._socket.close()
        if self._error:
            raise self._error
        return self._digest.hexdigest()
