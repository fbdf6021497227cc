"""The kernel's own NAT (nftables) in the gateway's namespace: a stand-in for vipgate, and its judge."""

import json

from .lab import MASQUERADE


class KernelNat:
    """DNAT and masquerade from vipgate's configuration. The addresses are the gateway's own."""

    def __init__(self, lab, config):
        self._gateway = lab.gateway
        self._config = config
        self._addresses = [MASQUERADE, *(vip["address"] for vip in config["vips"])]

    def log(self):
        return ""

    def start(self):
        self._gateway.ip(*(f"addr add {address}/32 dev lo" for address in self._addresses))
        self._gateway.sysctl("net/ipv4/ip_forward", 1)
        self._gateway.run("nft", "-f", "-", input=self.ruleset())
        self._gateway.sysctl("net/netfilter/nf_conntrack_tcp_loose", 0)  # it joins no conversation in the middle

    def stop(self):
        self._gateway.run("nft", "flush", "ruleset")
        self._gateway.sysctl("net/ipv4/ip_forward", 0)
        self._gateway.ip(*(f"addr del {address}/32 dev lo" for address in self._addresses))

    def translated(self):
        """How many connections were sent to a backend."""
        chain = json.loads(self._gateway.run("nft", "--json", "list", "chain", "ip", "lab", "arriving").stdout)
        rules = [one["rule"]["expr"] for one in chain["nftables"] if "rule" in one]
        return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)

    def ruleset(self):
        translate, hide, help_ftp = [], [], []
        for vip, service, protocol in self._offered():
            backend = service["backends"][0]
            target, port = backend["address"], backend.get("port", service["port"])
            translate.append(f"ip daddr {vip} {protocol} dport {service['port']} counter dnat to {target}:{port}")
            if service.get("helper") == "ftp":
                help_ftp.append(f"ip daddr {vip} {protocol} dport {service['port']} ct helper set \"ftp-tcp\"")
            if service["source"] == "masquerade":
                hide.append(f"ct status dnat ip daddr {target} {protocol} dport {port} snat to {MASQUERADE}")
        guard = ["iifname public oifname private ct direction original ct status & dnat == 0 reject with icmp type admin-prohibited"]
        chains = {
            "invalid": ("filter hook prerouting priority mangle", ["ct state invalid drop"]),
            "help": ("filter hook prerouting priority mangle", help_ftp),
            "arriving": ("nat hook prerouting priority dstnat", translate),
            "own": ("nat hook output priority -100", translate),
            "leaving": ("nat hook postrouting priority srcnat", hide),
            "guard": ("filter hook forward priority filter", guard if self._config["kernel"]["guard"] else []),
        }
        used = {name: chain for name, chain in chains.items() if chain[1]}  # an empty one would cost every packet a call
        body = "\n".join(f"chain {name} {{ type {hook};\n" + "\n".join(rules) + "\n}" for name, (hook, rules) in used.items())
        helper = 'ct helper ftp-tcp {\ntype "ftp" protocol tcp;\n}\n' if help_ftp else ""
        return f"table ip lab {{\n{helper}{body}\n}}\n"

    def _offered(self):
        """(VIP, service, protocol), one by one."""
        for vip in self._config["vips"]:
            for service in vip["services"]:
                protocols = service["protocol"]
                for protocol in [protocols] if isinstance(protocols, str) else protocols:
                    yield vip["address"], service, protocol
