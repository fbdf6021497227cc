"""The lab's network with a router between client and gateway, and two uplinks between these two."""

import json

from .lab import CLIENT, GATEWAY_PUBLIC, Lab

UPLINKS = {"uplink1": ("192.0.2.1", "192.0.2.2"), "uplink2": ("192.0.2.5", "192.0.2.6")}  # gateway's end, router's end


class Uplinks(Lab):
    """client ── clients, router, gateway1 and gateway2 ══ uplink1 and uplink2, gateway ── hosts.

    Nothing is routed but to neighbours: the rest is left to routing daemons.
    """

    def _build(self):
        super()._build()
        self.router, = self._add("router")
        self.gateway.ip("link delete public")
        self.router.ip(f"link add clients type veth peer name eth0 netns {self.client.name}",
                       f"addr add {GATEWAY_PUBLIC}/24 dev clients", "link set clients up")
        self._address(self.client, CLIENT, GATEWAY_PUBLIC)
        for number, (device, (near, far)) in enumerate(UPLINKS.items(), 1):
            self.gateway.ip(f"link add {device} type veth peer name gateway{number} netns {self.router.name}",
                            f"addr add {near}/30 dev {device}", f"link set {device} up")
            self.router.ip(f"addr add {far}/30 dev gateway{number}", f"link set gateway{number} up")
        self.router.sysctl("net/ipv4/ip_forward", 1)
        for one in (self.gateway, self.router):
            one.sysctl("net/ipv4/fib_multipath_hash_policy", 1)  # by connection

    def traffic(self):
        """Packets that each uplink has brought to the gateway, and taken from it."""
        seen = {one["ifname"]: one["stats64"] for one in json.loads(self.gateway.run("ip", "-json", "-stats", "link").stdout)}
        return {device: (seen[device]["rx"]["packets"], seen[device]["tx"]["packets"]) for device in UPLINKS}

    def busiest(self, before):
        """The uplink that took most from the gateway since a former traffic()."""
        now = self.traffic()
        return max(UPLINKS, key=lambda device: now[device][1] - before[device][1])

    def fail(self, device):
        """The gateway's card goes down."""
        self.gateway.ip(f"link set {device} down")

    def silence(self, device):
        """The cable carries nothing any more, and neither end's card notices."""
        for one, name in ((self.gateway, device), (self.router, device.replace("uplink", "gateway"))):
            rule = f"chain deaf {{ type filter hook prerouting priority raw; iifname {name} drop; }}\n"
            one.run("nft", "-f", "-", input=f"table ip silence {{ {rule} }}")

    def mend(self, device):
        self.gateway.ip(f"link set {device} up")
        for one in (self.gateway, self.router):
            one.run("nft", "delete", "table", "ip", "silence", check=False)

    def next_hops(self, prefix):
        """The gateway's addresses that the router sends a prefix to."""
        hops = []
        for route in json.loads(self.router.run("ip", "-json", "route", "show", prefix).stdout or "[]"):
            hops += [hop["gateway"] for hop in route.get("nexthops", [route]) if "dead" not in hop.get("flags", [])]
        return sorted(hops)
