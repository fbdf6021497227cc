"""Builds and removes the network that the package's first page shows."""

import contextlib
import glob
import itertools
import os
import re
import shutil
import signal
import tempfile

from .namespace import add, delete, stop

CLIENT = "198.51.100.7"
VIP = "203.0.113.10"
SUBNET = "203.0.113.8/29"
MASQUERADE = "203.0.113.14"
HOSTS = {"host2": "10.0.0.2", "host3": "10.0.0.3", "host4": "10.0.0.4"}
GATEWAY_PUBLIC = "198.51.100.1"
GATEWAY_PRIVATE = "10.0.0.1"

_SCRATCH = "vipgate-lab-"
_SCRATCH_ROOTS = ("/dev/shm", tempfile.gettempdir())
_SCRATCH_ROOM = 3 << 30


def _scratch_root():
    """Memory where there is room for the largest test, else the disk."""
    memory, disk = _SCRATCH_ROOTS
    return memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > _SCRATCH_ROOM else disk


def sweep():
    """Removes what runs left behind that were killed."""
    if names := list(map(os.path.basename, filter(_is_left, glob.glob("/run/netns/vg-*-*")))):
        delete(*names)
    for root in _SCRATCH_ROOTS:
        for path in filter(_is_left, glob.glob(f"{root}/{_SCRATCH}*-*")):
            _remove_scratch(path)


def _is_left(path):
    owner = re.match(rf"(?:vg-|{_SCRATCH})(\d+)-", os.path.basename(path))
    return owner and not os.path.exists(f"/proc/{owner[1]}")


def _remove_scratch(path):
    shutil.rmtree(path, ignore_errors=True)
    # Of a state folder on a disk, vipgate keeps the flows in memory, under the folder's name.
    for flows in glob.glob(f"/dev/shm/vipgate{path.replace('-', '=2d').replace('/', '-')}-*"):
        os.remove(flows)


def end_on_signals():
    """Lets SIGTERM and SIGHUP end the process as Ctrl-C does, so that `with` blocks clean up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


class Lab:
    """The network, without servers and without a gateway program. A context manager."""

    _count = 0

    def __enter__(self):
        sweep()
        Lab._count += 1
        self._prefix = f"vg-{os.getpid()}-" + ("" if Lab._count == 1 else f"{Lab._count}-")
        self._names, self._namespaces = [], []
        self.scratch = tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-", dir=_scratch_root())
        os.chmod(self.scratch, 0o755)
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with _signals_held():
            for namespace in reversed(self._namespaces):
                for child in namespace.children:
                    stop(child)
            delete(*self._names)
            _remove_scratch(self.scratch)

    def _build(self):
        self.client, self.gateway, *hosts = self._add("client", "gateway", *HOSTS)
        self.hosts = dict(zip(HOSTS.values(), hosts))
        links = ((f"link add {name} type veth peer name eth0 netns {host.name}", f"link set {name} master private up")
                 for name, host in zip(HOSTS, hosts))
        self.gateway.ip(
            f"link add public type veth peer name eth0 netns {self.client.name}",
            f"addr add {GATEWAY_PUBLIC}/24 dev public",
            "link set public up",
            "link add private type bridge mcast_snooping 0",
            f"addr add {GATEWAY_PRIVATE}/24 dev private",
            "link set private up",
            *itertools.chain(*links),
        )
        self._address(self.client, CLIENT, GATEWAY_PUBLIC)
        for address, host in self.hosts.items():
            self._address(host, address, GATEWAY_PRIVATE)

    def _add(self, *names):
        """Namespaces that are removed with the lab."""
        names = [self._prefix + name for name in names]
        self._names += names
        new = add(*names)
        self._namespaces += new
        for namespace in new:
            for setting in ("ip_forward", "conf/all/rp_filter", "conf/default/rp_filter"):
                namespace.sysctl(f"net/ipv4/{setting}", 0)  # else they would be as on the machine
        return new

    @staticmethod
    def _address(namespace, address, gateway):
        namespace.ip(f"addr add {address}/24 dev eth0", "link set eth0 up", f"route add default via {gateway}")

    def beyond(self, near, address, link, mtu=1500):
        """A further host, two routers away: `near`, one of this network's hosts, and one more, with a link of this MTU between them.

        `link` is the first three numbers of that link's addresses: `near` has .1, the other router .2; toward the further host it has
        .1 of that host's /24. Returns the further host, which is in `hosts` then, too, and that router.
        """
        own = CLIENT if near is self.client else next(one for one, host in self.hosts.items() if host is near)
        network, number = address.rpartition(".")[0], len(self._namespaces)
        router, further = self._add(f"router{number}", f"further{number}")
        near.ip(f"link add far mtu {mtu} type veth peer name near mtu {mtu} netns {router.name}", f"addr add {link}.1/24 dev far",
                "link set far up", f"route add {network}.0/24 via {link}.2")
        router.ip(f"addr add {link}.2/24 dev near", "link set near up", f"route add default via {link}.1",
                  f"link add far type veth peer name eth0 netns {further.name}", f"addr add {network}.1/24 dev far", "link set far up")
        self._address(further, address, f"{network}.1")
        self.gateway.ip(f"route add {network}.0/24 via {own}", f"route add {link}.0/24 via {own}")
        for one in (near, router):
            one.sysctl("net/ipv4/ip_forward", 1)
        self.hosts[address] = further
        return further, router

    def path(self, name):
        """A file of this run; removed with the lab."""
        return os.path.join(self.scratch, name)

    def end_offload(self, on):
        """Switches offloads at the client and the private hosts."""
        for namespace in (self.client, *self.hosts.values()):
            namespace.offload("eth0", on)

    def gateway_offload(self, on):
        """Switches offloads at the gateway's own network cards."""
        for device in ("public", *HOSTS):
            self.gateway.offload(device, on)


@contextlib.contextmanager
def _signals_held():
    """Keeps a second Ctrl-C from interrupting the clean-up."""
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
