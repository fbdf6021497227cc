#!/usr/bin/python3
"""Who may use a service, how much of it, and in what segments: allow, deny, limits, mss."""

import os
import select
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import capture, case, clients, config, files, packet, servers
from lab.lab import CLIENT, GATEWAY_PUBLIC, HOSTS, VIP
from lab.waiting import until

OTHER = "198.51.100.8"  # a second address of the client
HOST2 = HOSTS["host2"]
URL = f"http://{VIP}"
MSS = 2  # TCP option kind (RFC 9293 §3.2)


def second_address(lab):
    lab.client.ip(f"addr add {OTHER}/24 dev eth0")


def served(namespace, address=CLIENT, path="/"):
    """Whether a request from one of the client's addresses is answered."""
    command = ("curl", "-sS", "-o", "/dev/null", "-m", 20, "--interface", address, f"{URL}{path}")
    return namespace.run(*command, check=False).returncode == 0


def mss_of(options):
    """The MSS option's value, or None."""
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
        elif options[0] == MSS:
            return int.from_bytes(options[2:4], "big")
        else:
            options = options[options[1]:]
    return None


class Policy(case.Case):
    def web(self, *also, **keys):
        """A network whose web service has these keys."""
        return self.network(servers.web, second_address, *also, offered=[config.service("web", 80, HOST2, 8080, **keys)])

    def who_is_served(self, **keys):
        with self.web(**keys) as lab:
            return [served(lab.client, address) for address in (CLIENT, OTHER)]

    @case.vipgate_only
    def test_allow(self):
        self.assertEqual(self.who_is_served(allow=[OTHER]), [False, True])
        self.assertEqual(self.who_is_served(allow=["198.51.100.0/24"]), [True, True])

    @case.vipgate_only
    def test_deny_wins(self):
        self.assertEqual(self.who_is_served(deny=[OTHER]), [True, False])
        self.assertEqual(self.who_is_served(allow=["198.51.100.0/24"], deny=[f"{CLIENT}/32"]), [False, True])

    @case.vipgate_only
    def test_flows_per_client(self):
        with self.web(limits={"flows_per_client": 5}) as lab:
            files.write_random(f"{lab.path('www')}/file", 4 << 20)

            def begin():
                """A download of some four seconds; whether its first bytes came."""
                command = ("curl", "-sS", "--connect-timeout", 20, "-m", 60, f"{URL}/file?rate=1m")
                child = lab.client.start(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                return child, bool(child.stdout.peek(1))

            downloads = [begin() for _ in range(10)]
            self.assertEqual([began for _, began in downloads], [True] * 5 + [False] * 5)
            self.assertTrue(served(lab.client, OTHER), "another client has a share of its own")
            for child, began in downloads:
                with child:
                    size = len(child.stdout.read())
                self.assertEqual((child.returncode, size) == (0, 4 << 20), began)
            self.assertTrue(served(lab.client), "those that ended make room")

    @case.vipgate_only
    def test_flows(self):
        with self.web(limits={"flows": 3}) as lab:
            connections = []
            with lab.client.entered():
                for address in (CLIENT, OTHER, CLIENT):
                    connections.append(socket.create_connection((VIP, 80), 20, (address, 0)))
            self.assertFalse(served(lab.client))
            self.assertFalse(served(lab.client, OTHER))
            connections.pop().close()
            until("room", lambda: served(lab.client))
            for connection in connections:
                connection.close()

    @case.vipgate_only
    def test_new_per_second(self):
        with self.web(limits={"new_per_second": 5}) as lab:
            began = time.monotonic()
            with lab.client.entered():
                connections = [socket.socket() for _ in range(50)]
            for connection in connections:
                connection.setblocking(False)
                connection.connect_ex((VIP, 80))
            until("all answers", lambda: len(select.select([], connections, [], 0)[1]), len(connections))
            opened = sum(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 for connection in connections)
            for connection in connections:
                connection.close()
            self.assertGreaterEqual(opened, 5)
            self.assertLessEqual(opened, 6 + 5 * (time.monotonic() - began))
            until("another turn", lambda: served(lab.client))

    def offers(self, lab):
        """The MSS in the SYN that the backend sees, and in the SYN/ACK that the client sees."""
        seen = {"S": set(), "SA": set()}

        def note(one):
            found = packet.parse(one.data)
            if found.flags in seen:
                seen[found.flags].add(mss_of(found.options))

        with capture.Capture(lab.hosts[HOST2], "eth0", note, outgoing=False), \
                capture.Capture(lab.client, "eth0", note, outgoing=False):
            self.assertTrue(served(lab.client))
        return seen["S"], seen["SA"]

    @case.vipgate_only
    def test_mss(self):
        for offload in (True, False):
            with self.subTest(offload=offload), self.web(mss=1000) as lab:
                lab.end_offload(offload)
                self.assertEqual(self.offers(lab), ({1000}, {1000}))
                digest = files.write_random(f"{lab.path('www')}/file", 4 << 20)
                self.assertEqual(clients.download(lab.client, f"{URL}/file"), digest)
                clients.upload(lab.client, f"{lab.path('www')}/file", f"{URL}/sent")
                self.assertEqual(files.sha256_at(f"{lab.path('www')}/sent"), digest)

    @case.vipgate_only
    def test_smaller_mss_stays(self):
        with self.web(mss=1000) as lab:
            lab.client.ip(f"route replace default via {GATEWAY_PUBLIC} advmss 800")
            self.assertEqual(self.offers(lab), ({800}, {1000}))

    @case.vipgate_only
    def test_mss_is_left_alone_unless_told(self):
        with self.web() as lab:
            self.assertEqual(self.offers(lab), ({1460}, {1460}))


if __name__ == "__main__":
    case.main()
