"""What tools/demo.sh --failover shows: a card fails during a transfer, and the transfer goes on."""

import time

from lab import config, files, routing, screen, servers
from lab.lab import CLIENT, VIP
from lab.namespace import LabError
from lab.transfer import Transfer
from lab.uplinks import UPLINKS, Uplinks
from lab.vipgate import Vipgate

PICTURE = f"""\
                          192.0.2.2 ══ uplink1 ══ 192.0.2.1
    client ──── router  ⟨                                   ⟩  gateway ──── 10.0.0.2  nginx
    {CLIENT}   BIRD   192.0.2.6 ══ uplink2 ══ 192.0.2.5     BIRD, tun0 owns {VIP}"""

FAILURES = (
    ("fail", "the card {device} goes down", "ip link set {device} down"),
    ("silence", "the cable of {device} carries nothing any more, and no card notices: BFD does", "(packets on {device} are dropped)"),
)
RATE = 10 << 20  # bytes a second
SIZE = 1 << 30
BEFORE, AFTER = 2, 3  # seconds that are shown of the transfer around a failure
PATIENCE = 60  # seconds until the routers know the way
LONGEST_GAP = 10  # seconds: on the busiest machine


def configuration():
    settings = config.configuration(offered=[one for one in config.services() if one["name"] == "web"])
    settings["vips"][0]["announce"] = {"route_table": 186}
    return settings


def wait_for_both(lab):
    """Until the routing daemons use both uplinks, there and back."""
    deadline = time.monotonic() + PATIENCE
    while len(lab.next_hops(VIP)) < 2 or lab.gateway.run("ip", "route", "show", "198.51.100.0/24").stdout.count(" via ") < 2:
        if time.monotonic() > deadline:
            raise LabError(f"the routers do not find each other:\n{routing.log(lab)}")
        time.sleep(0.05)


def progress(transfer, seconds):
    """Shows the transfer for some seconds, two lines each."""
    for _ in range(2 * seconds):
        before = transfer.received
        time.sleep(0.5)
        screen.answer(f"{transfer.received / 1e6:8.1f} MB received, {(transfer.received - before) / 0.5e6:5.1f} MB/s")


def show_failure(lab, transfer, kind, title, command):
    """Lets the uplink fail that the transfer uses; returns whether it went on."""
    before = lab.traffic()
    transfer.gap(lambda: None, RATE // 2)
    device = lab.busiest(before)
    screen.heading(f"The transfer leaves by {device}")
    progress(transfer, BEFORE)
    screen.heading(title.format(device=device)[0].upper() + title.format(device=device)[1:])
    screen.command(command.format(device=device))
    gap = transfer.gap(lambda: (getattr(lab, kind)(device), progress(transfer, AFTER)), RATE // 2)
    left = lab.next_hops(VIP)
    right = transfer.going() and gap < LONGEST_GAP and left == [near for name, (near, _) in UPLINKS.items() if name != device]
    screen.verdict(right, f"the transfer goes on over the other uplink; nothing came for {gap * 1000:.0f} ms")
    lab.mend(device)
    wait_for_both(lab)
    screen.verdict(True, f"{device} is repaired, and used again")
    return right


def failover():
    """The whole of it; returns whether everything was right."""
    with Uplinks() as lab:
        screen.title("vipgate: no card owns the address, so no card's failure breaks a connection")
        screen.text(PICTURE)
        servers.web(lab)
        digest = files.write_random(f"{lab.path('www')}/file", SIZE)
        routing.bird(lab)
        gateway = Vipgate(lab, configuration())
        gateway.start()
        try:
            screen.heading("vipgate puts the VIP into a routing table, BIRD tells the router (tools/examples/bird.conf)")
            wait_for_both(lab)
            screen.command("ip route show table 186", "on the gateway")
            screen.answer(lab.gateway.run("ip", "route", "show", "table", "186").stdout.strip())
            screen.command(f"ip route show {VIP}", "on the router")
            for line in lab.router.run("ip", "route", "show", VIP).stdout.splitlines():
                screen.answer(line.strip())
            transfer = Transfer(lab.client, VIP, "/file", RATE)
            answers = [show_failure(lab, transfer, *failure) for failure in FAILURES]
            screen.heading("The rest of the transfer, at full speed")
            answers.append(transfer.finish() == digest)
            screen.verdict(answers[-1], f"{transfer.received / 1e6:.0f} MB over one connection, SHA-256 "
                           + ("as on the server" if answers[-1] else "differs"))
        finally:
            gateway.stop()
        screen.summary(all(answers), f"{sum(answers)} of {len(answers)} answers are as they should be.")
        return all(answers)
