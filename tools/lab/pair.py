"""The lab's network with a second gateway beside the first, on both its networks."""

from .lab import GATEWAY_PRIVATE, GATEWAY_PUBLIC, Lab

_SECOND_PUBLIC = GATEWAY_PUBLIC[:-1] + "2"
_SECOND_PRIVATE = GATEWAY_PRIVATE.rpartition(".")[0] + ".254"


class Pair(Lab):
    """client ══ public of two gateways, private of both ══ hosts. A gateway can lose each of its cables alone."""

    def _build(self):
        super()._build()
        self.second, self.lan = self._add("second", "lan")  # the latter: the switches
        self.gateway.ip("link delete public", *(f"link delete {name}" for name in ("host2", "host3", "host4")), "link delete private")
        self.lan.ip("link add public type bridge mcast_snooping 0", "link set public up",
                    "link add private type bridge mcast_snooping 0", "link set private up")
        self._plug(self.client, "eth0", "public")
        self._address(self.client, "198.51.100.7", GATEWAY_PUBLIC)
        for address, host in self.hosts.items():
            self._plug(host, "eth0", "private")
            self._address(host, address, GATEWAY_PRIVATE)
        for gateway, public, private in ((self.gateway, GATEWAY_PUBLIC, GATEWAY_PRIVATE), (self.second, _SECOND_PUBLIC, _SECOND_PRIVATE)):
            for device, address in (("public", public), ("private", private)):
                self._plug(gateway, device, device)
                gateway.ip(f"addr add {address}/24 dev {device}", f"link set {device} up")

    def _plug(self, namespace, device, switch):
        port = f"port{self._ports}"
        self._ports += 1
        self.lan.ip(f"link add {port} type veth peer name {device} netns {namespace.name}", f"link set {port} master {switch} up")

    _ports = 0
