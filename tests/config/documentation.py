#!/usr/bin/python3
"""What is written about vipgate says what there is: documentation.py VIPGATE. The README's tables and the manual against the schema and each
command's --help; completions, in the shells that they are for."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import schema as schemas

README = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../README.md")
EXAMPLE = os.path.join(os.path.dirname(README), "tools/package/example.json")
PATIENCE = 30  # seconds
SHELLS = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}
# Of objects that stand for a value, which the README shows whole in the value's row.
SHOWN_WHOLE = ("masquerade[].", "vips[].address.")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def readme_keys():
    """Keys of the tables in "Configuration", whole."""
    with open(README) as file:
        part = file.read().split("### Configuration\n")[1].split("\n## ")[0]
    options, health = part.split("### Health\n")
    keys = set()
    for text, above in ((options, ""), (health, "services[].health.")):
        for cell, meaning in re.findall(r"^\| (`.*?`) \| (.*?) \|", text, re.M):
            names = re.findall(r"`([^`]+)`", cell)
            parent = names[0].rpartition(".")[0]
            keys |= {above + (parent + name if name.startswith(".") else name) for name in names}
            if names[0] == "timeouts.profile":
                keys |= {f"timeouts.{name}" for name in re.findall(r"`([a-z_]+)`", meaning.split("single values:")[1])}
    return {re.sub(r"^backends\[\]", "vips[].services[].backends[]", re.sub(r"^services\[\]", "vips[].services[]", key)) for key in keys}


def commands():
    """{"status": ["--json", ...]}, by --help."""
    names = re.findall(r"^  (\S+)", run(PROGRAM, "--help").split("Subcommands:\n")[1], re.M)
    return {name: sorted(set(re.findall(r"^  .*?(--[a-z-]+)", run(PROGRAM, name, "--help").split("Options:\n")[1], re.M)) - {"--help"})
            for name in names}


def completed(shell, setup, typed, wanted):
    """What an interactive shell shows after `typed` and a tab, until `wanted` is among it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(shell, [shell, *SHELLS[shell]], {**os.environ, "TERM": "dumb", "PATH": os.environ["PATH"]})
    shown = ""
    try:
        os.write(terminal, f"{setup}; echo set'' up\n".encode())
        deadline = time.monotonic() + PATIENCE
        asked = False
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            shown += os.read(terminal, 4096).decode(errors="replace")
            if not asked and re.search("^set up", shown, re.M):
                shown, asked = "", True
                os.write(terminal, typed.encode() + b"\t\t")
            elif asked and wanted in shown:
                break
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown


class Documentation(unittest.TestCase):
    def test_the_readme_has_every_key(self):
        keys = {key for key in schemas.keys(schemas.load(PROGRAM)) if not key.startswith(("defaults.", "$"))}
        written = readme_keys()
        self.assertEqual(written - keys, set(), "no such keys")
        values = {key for key in keys if not any(other.startswith((key + ".", key + "[]")) for other in keys)}
        self.assertEqual({key for key in values - written if not key.startswith(SHOWN_WHOLE)}, set(), "not written about")

    def test_the_readme_shows_the_example_that_is_installed(self):
        with open(README) as file:
            shown = re.search(r"^    \{\n.*?^    \}$", file.read().split("**The first configuration.**")[1], re.M | re.S)[0]
        with open(EXAMPLE) as file:
            installed = re.sub(r"(?m)^ *//.*\n|  //.*$", "", file.read())
        self.assertEqual(json.loads(shown), json.loads(installed))

    def test_the_manual_has_every_key(self):
        manual = run(PROGRAM, "manual", "config")
        for key in schemas.keys(schemas.load(PROGRAM)):
            if not key.startswith("defaults."):
                self.assertRegex(manual, rf"(?m)^\.B {re.escape(key)}$")

    def test_the_manual_has_every_command_and_option(self):
        sections = dict(re.findall(r"^\.SS (\S+)\n(.*?)(?=^\.S[SH] )", run(PROGRAM, "manual", "commands"), re.M | re.S))
        self.assertEqual(set(sections) & set(commands()), set(commands()))
        for command, options in commands().items():
            for option in options:
                self.assertRegex(sections[command].replace("\\-", "-"), rf"(?m)^\.B.* ?{option}\b", command)

    @unittest.skipUnless(shutil.which("man"), "needs man")
    def test_the_manual_has_no_faults(self):
        for page in ("commands", "config"):
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-"], input=run(PROGRAM, "manual", page), capture_output=True,
                                  text=True, check=False, env={**os.environ, "MANWIDTH": "100"})
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)

    def test_bash_completes_every_command_and_option(self):
        with tempfile.NamedTemporaryFile("w", suffix=".bash") as file:
            file.write(run(PROGRAM, "manual", "bash"))
            file.flush()
            run("bash", "-n", file.name)
            ask = f". {file.name}; COMP_WORDS=(vipgate \"$@\"); COMP_CWORD=$#; _vipgate; echo \"${{COMPREPLY[@]}}\""
            self.assertEqual(set(commands()) - set(run("bash", "-c", ask, "bash", "").split()), set())
            for command, options in commands().items():
                self.assertEqual(set(options) - set(run("bash", "-c", ask, "bash", command, "--").split()), set(), command)
            self.assertIn("drain", completed("bash", f". {file.name}", "vipgate dr", "drain"))
            self.assertIn("--json", completed("bash", f". {file.name}", "vipgate status --js", "--json"))

    @unittest.skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh_completes(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/_vipgate", "w") as file:
                file.write(run(PROGRAM, "manual", "zsh"))
            run("zsh", "-n", f"{folder}/_vipgate")
            setup = f"unsetopt zle_bracketed_paste; fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -d {folder}/dump"
            self.assertIn("drain", completed("zsh", setup, "vipgate dr", "drain"))
            self.assertIn("--json", completed("zsh", setup, "vipgate status --js", "--json"))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    if os.environ.get("CI") == "true":
        for shell in ("man", "zsh"):
            assert shutil.which(shell), f"needs {shell}"
    unittest.main(verbosity=2)
