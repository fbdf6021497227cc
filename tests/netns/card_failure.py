#!/usr/bin/python3
"""A card fails: two uplinks, routing daemons on both sides, and a VIP that no card owns."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, files, routing, servers
from lab.lab import CLIENT, VIP
from lab.namespace import LabError
from lab.transfer import Transfer
from lab.uplinks import UPLINKS, Uplinks

BOTH = sorted(near for near, _ in UPLINKS.values())
RATE = 4 << 20  # bytes a second
SIZE = 400 << 20
CONNECTIONS = 64
CONVERGENCE = 60  # seconds


def announced():
    """A configuration whose VIP is in the table that the daemons read."""
    settings = config.configuration()
    settings["vips"][0]["announce"] = {"route_table": 186}
    return settings


class CardFailure(case.Case):
    def wait_for(self, what, wanted, look):
        """Waits until `look()` is `wanted`; says how long it took."""
        began = time.monotonic()
        while (seen := look()) != wanted:
            if time.monotonic() - began > CONVERGENCE:
                raise LabError(f"{what}: {seen}, not {wanted}\n{routing.log(self.lab)}")
            time.sleep(0.02)
        return time.monotonic() - began

    def wait_for_both(self):
        """Both uplinks are used in both directions."""
        self.wait_for("the router's way to the VIP", BOTH, lambda: self.lab.next_hops(VIP))
        self.wait_for("the gateway's way to the client", 2,
                      lambda: self.lab.gateway.run("ip", "route", "show", f"{CLIENT[:-1]}0/24").stdout.count(" via "))

    def with_daemons(self, daemons, body):
        with Uplinks() as self.lab:
            servers.web(self.lab)
            daemons(self.lab)
            with self.gateway(self.lab, announced()) as gateway:
                self.wait_for_both()
                body(gateway)

    def uplinks_fail(self, gateway):
        """First a card goes down, then the other cable falls silent, during one transfer."""
        digest = files.write_random(f"{self.lab.path('www')}/file", SIZE)
        transfer = Transfer(self.lab.client, VIP, "/file", RATE)
        gaps = []
        for fail in (self.lab.fail, self.lab.silence):
            before = self.lab.traffic()
            transfer.gap(lambda: None, RATE)
            busy = self.lab.busiest(before)
            gaps.append(transfer.gap(lambda: fail(busy), 2 * RATE))
            self.assertTrue(transfer.going(), "the transfer should last longer than this")
            self.assertEqual(self.lab.next_hops(VIP), [near for device, (near, _) in UPLINKS.items() if device != busy])
            self.lab.mend(busy)
            self.wait_for_both()
        self.assertEqual(transfer.finish(), digest)
        said = "gap {:.0f} ms when a card goes down, {:.0f} ms when a cable falls silent ".format(*(gap * 1000 for gap in gaps))
        print(said, end="", file=sys.stderr, flush=True)
        self.assertLess(max(gaps), 30)

    def both_carry_load(self, gateway):
        before = self.lab.traffic()
        for number in range(CONNECTIONS):
            self.lab.client.run("curl", "-sS", "--fail", "-m", 10, "--retry", 5, "--retry-all-errors", f"http://{VIP}/id/{number}")
        now = self.lab.traffic()
        for device in UPLINKS:
            for direction in (0, 1):
                packets = now[device][direction] - before[device][direction]
                self.assertGreater(packets, CONNECTIONS, f"{device}, {('to', 'from')[direction]} the gateway: {packets} packets")

    def route_follows_vipgate(self, gateway):
        took = []
        for settings, hops in ((config.configuration(), []), (announced(), BOTH)):
            gateway.reload(settings, "reloaded")
            took.append(self.wait_for("the router's way to the VIP", hops, lambda: self.lab.next_hops(VIP)))
        gateway.stop()
        self.wait_for("the router's way to the VIP", [], lambda: self.lab.next_hops(VIP))
        gateway.start()
        self.wait_for("the router's way to the VIP", BOTH, lambda: self.lab.next_hops(VIP))
        said = "withdrawn in {:.0f} ms, back in {:.0f} ms ".format(*(one * 1000 for one in took))
        print(said, end="", file=sys.stderr, flush=True)

    @case.vipgate_only
    def test_bird_connection_goes_on(self):
        self.with_daemons(routing.bird, self.uplinks_fail)

    @case.vipgate_only
    def test_frr_connection_goes_on(self):
        self.with_daemons(routing.frr, self.uplinks_fail)

    @case.vipgate_only
    def test_bird_uses_both_uplinks(self):
        self.with_daemons(routing.bird, self.both_carry_load)

    @case.vipgate_only
    def test_frr_uses_both_uplinks(self):
        self.with_daemons(routing.frr, self.both_carry_load)

    @case.vipgate_only
    def test_bird_route_follows_vipgate(self):
        self.with_daemons(routing.bird, self.route_follows_vipgate)

    @case.vipgate_only
    def test_frr_route_follows_vipgate(self):
        self.with_daemons(routing.frr, self.route_follows_vipgate)


if __name__ == "__main__":
    case.main("bird", "vtysh")
