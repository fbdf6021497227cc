"""What the kernel says about a measurement: processor time, what the gateway's devices carried, which programs it ran."""

import collections
import contextlib
import os

from lab.namespace import run

Traffic = collections.namedtuple("Traffic", "public tun forwarded delivered")
_TICK = os.sysconf("SC_CLK_TCK")


def busy():
    """Seconds that the processors of this machine have worked, all together."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + softirq) / _TICK


def traffic(gateway):
    """Of the gateway's namespace: bytes through `public`, both directions; bytes through tun0, the direction that had less;
    packets that its kernel forwarded, and that it delivered to its own programs."""
    with gateway.entered(), open("/proc/thread-self/net/dev") as file:
        rows = {name.strip(): row.split() for name, row in (line.split(":") for line in file.readlines()[2:])}
    received_and_sent = {name: (int(row[0]), int(row[8])) for name, row in rows.items()}
    internet = _protocol(gateway, "Ip")
    return Traffic(sum(received_and_sent["public"]), min(received_and_sent.get("tun0", (0, 0))), internet["ForwDatagrams"],
                   internet["InDelivers"])


def since(before, after):
    return Traffic(*(now - then for then, now in zip(before, after)))


def datagrams(host):
    """UDP packets that have come for the programs of a host, with those that a program had no room for."""
    counted = _protocol(host, "Udp")
    return counted["InDatagrams"] + counted["RcvbufErrors"]


def _protocol(namespace, name):
    with namespace.entered(), open("/proc/thread-self/net/snmp") as file:
        names, values = (line.split()[1:] for line in file if line.startswith(f"{name}:"))
    return dict(zip(names, map(int, values)))


def programs(gateway):
    """Names of the programs in the gateway's namespace; bytes of memory that each of their processes had at most, summed up."""
    names, memory = set(), 0
    for pid in run("ip", "netns", "pids", gateway.name).stdout.split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            names.add(status["Name"])
            memory += int(status.get("VmHWM", "0 kB").split()[0]) << 10
    return names, memory
