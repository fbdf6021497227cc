"""Routing daemons in the foreground of a namespace, with the example configurations that are shipped."""

import os
import shutil

from . import REPOSITORY
from .waiting import until

_EXAMPLES = os.path.join(REPOSITORY, "tools/examples")
_FRR = "/usr/lib/frr"
_DAEMONS = ("zebra", "bfdd", "bgpd")  # in the order of their start


def _start(lab, namespace, name, *command):
    with open(lab.path(f"{name}.log"), "ab") as log:
        return namespace.start(*command, stdin=-3, stdout=log, stderr=log)


def bird(lab):
    """BIRD with BGP and BFD, on the gateway and on the router."""
    for namespace, role, example in ((lab.gateway, "gateway", "bird.conf"), (lab.router, "router", "bird-router.conf")):
        socket = lab.path(f"bird-{role}.ctl")
        _start(lab, namespace, f"bird-{role}", "bird", "-f", "-c", f"{_EXAMPLES}/{example}", "-s", socket)


def frr(lab):
    """FRR with BGP and BFD, on the gateway and on the router."""
    for namespace, role, example in ((lab.gateway, "gateway", "frr.conf"), (lab.router, "router", "frr-router.conf")):
        folder = lab.path(f"frr-{role}")
        os.makedirs(folder)
        shutil.copy(f"{_EXAMPLES}/{example}", f"{folder}/frr.conf")
        with open(f"{folder}/vtysh.conf", "w"):
            pass
        for path in (folder, f"{folder}/frr.conf"):
            shutil.chown(path, "frr", "frr")
        sockets = ("--vty_socket", folder, "-z", f"{folder}/zserv.api")
        for daemon in _DAEMONS:
            further = ("--bfdctl", f"{folder}/bfdd.sock") if daemon == "bfdd" else ()
            _start(lab, namespace, f"frr-{role}-{daemon}", f"{_FRR}/{daemon}", *sockets, "-i", f"{folder}/{daemon}.pid",
                   "-f", f"{folder}/none.conf", *further)
            _wait_for_vty(namespace, folder, daemon)
        namespace.run("vtysh", "--config_dir", folder, "--vty_socket", folder, "-b")


def _wait_for_vty(namespace, folder, daemon):
    """Waits until a daemon takes its configuration (vtysh passes over those that do not listen yet), and others' messages."""
    show = ("vtysh", "--config_dir", folder, "--vty_socket", folder, "-d", daemon, "-c", "show version")
    until(f"{daemon} to listen at {folder}", lambda: namespace.run(*show, check=False).returncode, 0)


def log(lab):
    """What the daemons said last, for a test that failed."""
    said = []
    for name in sorted(os.listdir(lab.scratch)):
        if name.startswith(("bird-", "frr-")) and name.endswith(".log"):
            with open(lab.path(name), errors="replace") as file:
                said.append(f"{name}: {file.read()[-1500:]}")
    return "\n".join(said)
