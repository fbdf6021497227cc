"""The machine, and what else it does."""

import os
import platform
import time

from lab.namespace import run

from . import counters


def description():
    """What the figures depend on."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {"processors": os.cpu_count(), "model": model, "kernel": platform.release()}


def versions():
    packages = ("haproxy", "iperf3", "nftables", "nginx", "wrk")
    return dict(row.split() for row in run("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages).stdout.splitlines())


def load():
    """The part of this machine's processors that is busy with something else."""
    before, began = counters.busy(), time.monotonic()
    time.sleep(1)
    return (counters.busy() - before) / (time.monotonic() - began) / os.cpu_count()
