"""What the tests with namespaces share: options, skipping, a network with a gateway."""

import argparse
import contextlib
import functools
import os
import shutil
import sys
import time
import unittest

from . import config as configs
from . import kernel
from .kernel_nat import KernelNat
from .lab import Lab, end_on_signals
from .vipgate import Vipgate, binary

PROGRAMS = ("ip", "nft", "ethtool", "nginx", "curl", "dig", "dnsmasq", "setpriv", "unshare")
SKIPPED = 77  # the exit code that ctest takes for "skipped"


def vipgate_only(test):
    """Marks a test that the stand-in cannot answer."""

    @functools.wraps(test)
    def guarded(self):
        if self.gateway_kind is not Vipgate:
            self.skipTest("asks vipgate itself")
        test(self)

    return guarded


def scaled(amount):
    """Less of it where LAB_SCALE says so: sanitizers are slow."""
    return max(1, int(amount * float(os.environ.get("LAB_SCALE", "1"))))


class Case(unittest.TestCase):
    """A test with a network; says how long it took."""

    gateway_kind = Vipgate

    def setUp(self):
        self._began = time.monotonic()

    def tearDown(self):
        print(f"{time.monotonic() - self._began:.1f} s ", end="", file=sys.stderr, flush=True)

    def shortDescription(self):
        return None  # the method's name says it

    @contextlib.contextmanager
    def network(self, *servers, **options):
        """A lab with servers (functions of lab.servers) and a gateway that serves configuration(**options)."""
        with Lab() as lab:
            for server in servers:
                server(lab)
            with self.gateway(lab, configs.configuration(**options)):
                yield lab

    @contextlib.contextmanager
    def gateway(self, lab, config, kind=None):
        """A running gateway, of the kind under test unless told.

        It must end in order and leave nothing in the kernel; its log is shown when the test fails.
        """
        before = kernel.snapshot(lab.gateway)
        gateway = (kind or self.gateway_kind)(lab, config)
        try:
            gateway.start()
            yield gateway
        except Exception:
            print(f"\n--- the gateway's log\n{gateway.log()[-4000:]}\n---", file=sys.stderr)
            raise
        gateway.stop()
        self.assertEqual(kernel.difference(before, kernel.snapshot(lab.gateway)), "", "left in the kernel")


def main(*programs):
    """Runs the tests of a script, which need further programs. `--gateway=nft` puts the kernel's NAT in vipgate's place."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--gateway", choices=("vipgate", "nft"), default="vipgate")
    options, rest = parser.parse_known_args()
    Case.gateway_kind = {"vipgate": Vipgate, "nft": KernelNat}[options.gateway]
    missing = _missing(Case.gateway_kind, PROGRAMS + programs)
    if missing:
        print(f"skipped: {missing}")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    end_on_signals()
    unittest.main(module="__main__", argv=[sys.argv[0], *rest], verbosity=2)


def _missing(gateway_kind, programs):
    """What keeps the tests from running here, or ""."""
    if os.geteuid() != 0:
        return "needs root"
    for program in programs:
        if not shutil.which(program):
            return f"needs the program {program}"
    if gateway_kind is Vipgate and not os.access(binary(), os.X_OK):
        return f"needs {binary()}"
    return ""
