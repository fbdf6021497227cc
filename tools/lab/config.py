"""Configurations for the gateway in a lab."""

from .lab import HOSTS, SUBNET, VIP

RAW_SERVER = "10.0.0.9"  # an address that no kernel owns: a test plays the host


def service(name, port, address, target=None, protocol="tcp", **keys):
    """One port of the VIP, served by one backend, which is not checked unless told: checks would be among the packets that a test sees, and
    find hosts dead that a test plays."""
    backend = {"address": address} if target is None else {"address": address, "port": target}
    return {"name": name, "protocol": protocol, "port": port, "backends": [backend], "health": "none", **keys}


def services():
    """What the servers of the lab offer."""
    return [
        service("web", 80, HOSTS["host2"], 8080),
        service("mail", 25, HOSTS["host3"]),
        service("names", 53, HOSTS["host4"], protocol=["udp", "tcp"]),
        service("echo", 7, HOSTS["host4"], protocol="udp"),
        service("iperf", 5201, HOSTS["host3"], protocol=["tcp", "udp"]),
        service("raw", 7000, RAW_SERVER, protocol=["tcp", "udp"]),
    ]


def configuration(workers=1, offload=True, source="masquerade", guard=True, offered=None):
    """A whole configuration file, as Python data."""
    offered = services() if offered is None else offered
    return {
        "tun": {"name": "tun0", "subnet": SUBNET, "workers": workers, "offload": offload},
        "vips": [{"address": VIP, "services": [{"source": source, **one} for one in offered]}],
        "kernel": {"guard": guard},
    }


def placed(lab, settings):
    """The same configuration with its state, unless told, in the lab's own folder: gateways of other labs, or of this machine, keep
    theirs elsewhere."""
    return {**settings, "flows": {"state_dir": lab.path("state"), **settings.get("flows", {})}}
