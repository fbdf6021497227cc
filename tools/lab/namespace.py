"""Network namespaces: programs and sockets in them.

Starting a program costs more than most of what it is started for here, so the less of them the better: `ip` takes many
lines at once, and a program is born in its namespace instead of being led there by `ip netns exec`.
"""

import contextlib
import ctypes
import fcntl
import os
import shlex
import signal
import socket
import struct
import subprocess
import threading

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS = 0x8914  # netdevice(7)
_IFF_UP = 1
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
    """One that `add` made."""

    def __init__(self, name):
        self.name = name
        self.children = []
        with self.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
        self.sysctl("net/ipv6/conf/all/disable_ipv6", 1)

    def ip(self, *lines, options=()):
        """Configures and shows links, addresses and routes: each line is what follows `ip`. Returns what is printed."""
        return run("ip", "-n", self.name, *options, "-batch", "-", input="\n".join(lines)).stdout

    def run(self, *command, **options):
        """Runs a program in the namespace to its end."""
        with self.entered():
            return run(*command, **options)

    def at_terminal(self, *command, **options):
        """Runs a program whose output is a terminal."""
        words = shlex.join(str(word) for word in command)
        # The program that makes the terminal may leave before it has read all that was written last.
        return self.run("script", "-qec", f"{words}; code=$?; sleep 1; exit $code", "/dev/null", **options)

    def start(self, *command, **options):
        """Starts a program in the namespace; it ends with the namespace or with this process. Call from the main thread."""
        assert threading.current_thread() is threading.main_thread(), "a child would die with this thread"
        words = [str(word) for word in command]
        with self.entered():
            child = subprocess.Popen(words, start_new_session=True, preexec_fn=_die_with_parent, **options)
        self.children.append(child)
        return child

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread opens meanwhile, and programs it starts, belong to the namespace, and stay there."""
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


def stop(child, patience=5, number=signal.SIGTERM):
    """Ends a child with a signal, or SIGKILL when it does not listen. Returns its exit code."""
    if child.poll() is None:
        child.send_signal(number)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def add(*names):
    """Makes namespaces."""
    run("ip", "-batch", "-", input="\n".join(f"netns add {name}" for name in names))
    return [Namespace(name) for name in names]


def delete(*names):
    """Removes namespaces and whatever still runs in them."""
    ours = {os.stat(path).st_ino for path in map("/run/netns/{}".format, names) if os.path.exists(path)}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has just ended
            if os.stat(f"/proc/{pid}/ns/net").st_ino in ours:
                os.kill(int(pid), signal.SIGKILL)
    run("ip", "-force", "-batch", "-", input="\n".join(f"netns delete {name}" for name in names), check=False)
