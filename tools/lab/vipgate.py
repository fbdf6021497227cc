"""vipgate in the gateway's namespace."""

import json
import os
import re
import signal
import time

from . import REPOSITORY
from .config import placed
from .namespace import LabError, stop

READY = r"\bready\b"
_PATIENCE = 20  # seconds until a gateway must be ready, or gone


def binary():
    return os.environ.get("VIPGATE", os.path.join(REPOSITORY, "build/release/gateway/vipgate"))


class Vipgate:
    """`vipgate run`, its configuration file and its log. `before`: words ahead of the command of a start."""

    def __init__(self, lab, config, arguments=(), before=()):
        self._lab = lab
        self._arguments = arguments
        self._before = before
        self.program = binary()
        self.end_signal = signal.SIGTERM
        self.config_path = lab.path("vipgate.json")
        self.log_path = lab.path("vipgate.log")
        self.write(config)

    def write(self, config):
        """Writes the configuration file, as text or from data."""
        with open(self.config_path, "w") as file:
            file.write(config if isinstance(config, str) else json.dumps(placed(self._lab, config), indent=2) + "\n")

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def wait_for_log(self, pattern, after=0):
        """Waits until the log matches, beyond its first `after` characters. Returns what it said since then."""
        deadline = time.monotonic() + _PATIENCE
        while not re.search(pattern, self.log()[after:]):
            if self.process.poll() is not None:
                raise LabError(f"vipgate ended with {self.process.returncode}:\n{self.log()[after:]}")
            if time.monotonic() > deadline:
                raise LabError(f"vipgate did not say {pattern!r}:\n{self.log()[after:]}")
            time.sleep(0.01)
        return self.log()[after:]

    def start(self):
        """Starts and waits until the gateway is ready."""
        with open(self.log_path, "a") as log:
            said = len(self.log())
            command = [*self._before, self.program, "run", "--config", self.config_path, *self._arguments]
            self.process = self._lab.gateway.start(*command, stdin=-3, stdout=log, stderr=log)
        self.wait_for_log(READY, said)

    def take_over(self):
        """Starts another process that takes this one's place. Returns what both have said when the old one has ended in order."""
        old, said = self.process, len(self.log())
        with open(self.log_path, "a") as log:
            command = [binary(), "run", "--takeover", "--config", self.config_path, *self._arguments]
            self.process = self._lab.gateway.start(*command, stdin=-3, stdout=log, stderr=log)
        self.wait_for_log(READY, said)
        if old.wait(_PATIENCE) != 0:
            raise LabError(f"the old process ended with {old.returncode}:\n{self.log()[said:]}")
        return self.log()[said:]

    def fail_to_take_over(self):
        """Starts another process that shall not get this one's place. Returns its exit code and what both have said."""
        said = len(self.log())
        with open(self.log_path, "a") as log:
            command = [binary(), "run", "--takeover", "--config", self.config_path]
            other = self._lab.gateway.start(*command, stdin=-3, stdout=log, stderr=log)
        return other.wait(_PATIENCE), self.log()[said:]

    def reload(self, config, says):
        """Replaces the file and sends SIGHUP; returns the log from then until it matches `says`."""
        said = len(self.log())
        self.write(config)
        self.process.send_signal(signal.SIGHUP)
        return self.wait_for_log(says, said)

    def command(self, *words):
        """Runs `vipgate WORDS` for this gateway. Returns the process at its end, whatever its exit code."""
        return self._lab.gateway.run(binary(), *words, "--config", self.config_path, check=False)

    def status(self):
        """What `vipgate status --json` says."""
        return json.loads(self.command("status", "--json").stdout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends the gateway in order: exit code 0 is part of the contract."""
        if self.process.poll() is None and stop(self.process, _PATIENCE, self.end_signal) == 0:
            return
        raise LabError(f"vipgate ended with {self.process.returncode}:\n{self.log()[-3000:]}")
