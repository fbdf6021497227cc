"""What a gateway may change in the kernel, as text to compare before and after."""

import glob
import re

_COMMANDS = ("rule show", "route show table all", "neigh show proxy")
_OF_DAEMONS = r" proto (bird|bgp|ospf|zebra) "  # routes that come and go as others say
_SETTINGS = ("ip_forward", "ip_local_reserved_ports")
_DEVICE_SETTINGS = ("rp_filter", "accept_local", "forwarding", "proxy_arp")


def snapshot(namespace):
    """Every link, address, rule, route, proxy entry and setting, one a line."""
    lines = []
    for row in namespace.ip("address show", options=["-brief"]).splitlines():
        name, _, *addresses = row.split()
        lines.append(f"link: {name} {' '.join(addresses)}")
    for row in namespace.ip(*_COMMANDS, options=["-oneline"]).splitlines():
        if not re.search(_OF_DAEMONS, row):
            lines.append(" ".join(row.replace(" linkdown", "").split()))
    with namespace.entered():
        paths = [f"/proc/sys/net/ipv4/{name}" for name in _SETTINGS]
        for name in _DEVICE_SETTINGS:
            paths += glob.glob(f"/proc/sys/net/ipv4/conf/*/{name}")
        paths += glob.glob("/proc/sys/net/ipv4/neigh/*/proxy_delay")
        for path in sorted(paths):
            with open(path) as file:
                lines.append(f"{path[10:]} = {file.read().strip()}")
    return lines


def difference(before, after):
    """What came and what went, as text; empty when nothing did."""
    gone, new = set(before) - set(after), set(after) - set(before)
    return "\n".join([*(f"- {line}" for line in sorted(gone)), *(f"+ {line}" for line in sorted(new))])
