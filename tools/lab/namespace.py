"""One network namespace: programs and sockets in it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PATIENCE = 120  # seconds for a program that is run to its end


class LabError(Exception):
    """The lab cannot do what it was asked for."""


def run(*command, check=True, **options):
    """Runs a program to its end and returns it with its output as text."""
    options.setdefault("capture_output", True)
    options.setdefault("timeout", _PATIENCE)
    done = subprocess.run([str(word) for word in command], text=True, **options)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(map(str, command))}: exit {done.returncode}: {(done.stderr or '').strip()}")
    return done


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _setns(descriptor):
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """Made on construction; `delete` ends what runs in it and removes it."""

    def __init__(self, name):
        self.name = name
        self._children = []
        run("ip", "netns", "add", name)
        self.ip("link set lo up")
        self.sysctl("net/ipv6/conf/all/disable_ipv6", 1)

    def ip(self, *lines):
        """Configures links, addresses and routes: each line is what follows `ip`."""
        run("ip", "-n", self.name, "-batch", "-", input="\n".join(lines))

    def run(self, *command, **options):
        """Runs a program in the namespace to its end."""
        return run("ip", "netns", "exec", self.name, *command, **options)

    def start(self, *command, **options):
        """Starts a program in the namespace; it ends with the namespace or with this process. Call from the main thread."""
        assert threading.current_thread() is threading.main_thread(), "a child would die with this thread"
        words = ["ip", "netns", "exec", self.name, *(str(word) for word in command)]
        child = subprocess.Popen(words, start_new_session=True, preexec_fn=_die_with_parent, **options)
        self._children.append(child)
        return child

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread opens meanwhile belong to the namespace, and stay there."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            _setns(there.fileno())
            try:
                yield self
            finally:
                _setns(home.fileno())

    def sysctl(self, path, value=None):
        """Reads or sets a value below /proc/sys as the namespace sees it."""
        with self.entered(), open(f"/proc/sys/{path}", "r" if value is None else "w") as file:
            return file.read().strip() if value is None else file.write(str(value))

    def offload(self, device, on):
        """Switches transmit checksums and segmentation of a device. Merging stays off: it would make complete checksums partial."""
        state = "on" if on else "off"
        self.run("ethtool", "-K", device, "tx", state, "tso", state, "gso", state, "gro", "off")

    def delete(self):
        for child in self._children:
            stop(child)
        delete(self.name)


def stop(child, patience=5, number=signal.SIGTERM):
    """Ends a child with a signal, or SIGKILL when it does not listen. Returns its exit code."""
    if child.poll() is None:
        child.send_signal(number)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def delete(name):
    """Removes a namespace and whatever still runs in it."""
    for pid in run("ip", "netns", "pids", name, check=False).stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "delete", name, check=False)
