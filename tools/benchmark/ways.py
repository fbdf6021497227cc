"""The ways from the client to the backend: each can be started, be stopped, show how it is set, and prove that it was taken.

`address`: what the client uses; `seen`: the client's address as the backend sees it; `programs`: what runs in the gateway's namespace.
"""

import json
import os
import subprocess

from lab import REPOSITORY, config
from lab import vipgate as lab_vipgate
from lab.kernel_nat import KernelNat
from lab.lab import CLIENT, MASQUERADE, VIP
from lab.namespace import LabError, stop

from .proof import BACKEND, IPERF, WEB, WORKERS, Forwarded, Tunnelled
from .proxies import HaProxy, Nginx

_TABLE = 100


def _configuration(**settings):
    offered = [config.service("web", WEB, BACKEND), config.service("iperf", IPERF, BACKEND, protocol=["tcp", "udp"])]
    return config.configuration(workers="auto", offered=offered, **settings)


class Routed(Forwarded):
    """No gateway: the client addresses the backend itself."""

    address = BACKEND
    seen = CLIENT

    def __init__(self, lab):
        self._gateway = lab.gateway

    def settings(self):
        return f"the client addresses {BACKEND}"

    def start(self):
        self._gateway.sysctl("net/ipv4/ip_forward", 1)

    def stop(self):
        self._gateway.sysctl("net/ipv4/ip_forward", 0)


class Nftables(Forwarded, KernelNat):
    address = VIP
    seen = MASQUERADE

    def __init__(self, lab):
        super().__init__(lab, _configuration())

    def settings(self):
        return self.ruleset()

    def fault(self, traffic, payload):
        return super().fault(traffic, payload) or ("" if self.translated() else "nftables translated no connection")


class Vipgate(Tunnelled, lab_vipgate.Vipgate):
    address = VIP
    seen = MASQUERADE
    programs = {"vipgate", "vipgate-keeper"}

    def __init__(self, lab, **settings):
        self._settings = _configuration(**settings)
        super().__init__(lab, self._settings)

    def settings(self):
        return json.dumps(self._settings, indent=2)


class WithoutOffload(Vipgate):
    def __init__(self, lab):
        super().__init__(lab, offload=False)


class Reflector(Tunnelled):
    """A program that exchanges an address in each packet, and does nothing else: what is slow here is slow behind every TUN."""

    address = VIP
    seen = CLIENT
    programs = {"reflector"}
    threads = ()

    def __init__(self, lab):
        self._gateway = lab.gateway
        path = os.environ.get("REFLECTOR", os.path.join(REPOSITORY, "build/release/tests/bench/reflector"))
        self._command = [path, "--device", "tun0", "--vip", VIP, "--backend", BACKEND, "--workers", str(WORKERS),
                         *self.threads]
        self._routes = ["link set tun0 up", f"route add {VIP} dev tun0", f"route add default dev tun0 table {_TABLE}",
                        "rule add pref 99 iif tun0 lookup main", f"rule add pref 100 iif private lookup {_TABLE}"]
        self._sysctls = {"net/ipv4/ip_forward": 1, "net/ipv4/conf/tun0/accept_local": 1}

    def settings(self):
        sysctls = [f"sysctl {name}={value}" for name, value in self._sysctls.items()]
        return "\n".join([" ".join(["reflector", *self._command[1:]]), *(f"ip {line}" for line in self._routes), *sysctls])

    def start(self):
        self._process = self._gateway.start(*self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self._process.stdout.readline() != b"ready\n":
            raise LabError(f"reflector ended with {self._process.wait()}")
        self._gateway.ip(*self._routes)
        for name, value in self._sysctls.items():
            self._gateway.sysctl(name, value)

    def stop(self):
        if code := stop(self._process):
            raise LabError(f"reflector ended with {code}")


class RealtimeReflector(Reflector):
    """With which the TUN does more depends on the work."""

    threads = ("--realtime",)


WAYS = {
    "routed": Routed,
    "nftables": Nftables,
    "HAProxy": HaProxy,
    "nginx": Nginx,
    "TUN limit": Reflector,
    "TUN limit, real-time": RealtimeReflector,
    "vipgate": Vipgate,
    "vipgate, offload off": WithoutOffload,
}
USUAL = list(WAYS)[:7]  # the other on request
IMPOSSIBLE = {("HAProxy", "udp")}
