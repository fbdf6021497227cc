#!/usr/bin/python3
"""The JSON Schema and `vipgate check` say the same of configurations: schema.py VIPGATE. Each is a sound one in which one value was
changed, put in or left out, by seeded chance."""

import copy
import json
import os
import random
import re
import subprocess
import sys
import tempfile

COUNT = 300
SEED = 20

SOUND = {
    "$schema": "schema.json",
    "tun": {"name": "tun0", "subnet": ["203.0.113.8/29"], "mtu": 1500, "workers": "auto", "offload": True, "scheduling": "normal"},
    "masquerade": ["203.0.113.14", {"address": "10.0.1.250", "announce": {"arp": ["eth1"]}}],
    "defaults": {"source": "masquerade", "idle_timeout": "1h"},
    "vips": [{
        "address": "203.0.113.10", "ping": "healthy", "unmatched": "drop", "shared": False,
        "announce": {"arp": ["eth0"], "route_table": 186},
        "services": [
            {"name": "web", "protocol": "tcp", "port": [80, "8000-8099"], "balance": "maglev", "affinity": "client",
             "on_backend_down": "reset", "mss": 1400, "masquerade": "203.0.113.14", "allow": ["198.51.100.0/24"], "deny": ["198.51.100.7"],
             "limits": {"flows": 1000, "flows_per_client": 10, "new_per_second": 100},
             "health": {"type": "http", "interval": "2s", "timeout": "1s", "rise": 2, "fall": 3, "port": 8080, "path": "/health",
                        "host": "www.example.org", "status": "200-399"},
             "backends": [{"name": "a", "address": "10.0.0.2", "port": 8080, "weight": 3, "backup": False}]},
            {"name": "dns", "protocol": ["tcp", "udp"], "port": 53, "source": "preserve", "idle_timeout": "30s", "health": "tcp",
             "backends": [{"address": "10.0.0.4"}]},
            {"protocol": "tcp", "port": 22,
             "health": {"type": "exec", "command": ["/usr/bin/true", "x"]}, "backends": [{"address": "10.0.0.5"}]},
        ]}],
    "egress": [{"from": "10.0.0.0/24", "as": "203.0.113.10", "except": ["10.0.0.0/8"]}],
    "flows": {"max": 65536, "state_dir": "/run/vipgate"},
    "timeouts": {"profile": "linux", "syn_sent": "1m", "udp": "300s"},
    "kernel": {"rule_priority": 100, "table": 187, "protocol": 86, "guard": True},
    "control": {"socket": "/run/vipgate/control.sock", "group": "root", "http": "127.0.0.1:9860"},
}

VALUES = [None, True, False, -1, 0, 1, 4, 80, 254, 300, 535, 1024, 65535, 65536, 70000, 1.5, 4294967296, "", "x", "auto", "tcp", "udp", "none",
          "ftp", "keep", "healthy", "realtime", "rfc", "maglev", "5", "5s", "05m", "0s", "1y", "366d", "*", "80-90", "90-80", "0-1", "1-65536",
          "10.0.0.9", "10.0.0.256", "01.0.0.1", "10.0.0.0/24", "10.0.0.0/33", "10.0.0.1/24", "127.0.0.1:1", "127.0.0.1:65536", "eth0", "a b",
          "e/0", "/", "/a b", "a\u0007b", "x" * 65, "200", "200-399", "600", [], ["x"], ["tcp", "tcp"], [80, 80], {}, {"x": 1}, {"type": "ping"},
          {"type": "none"}, {"type": "exec"}, {"interface": "ppp0"}, ["/usr/bin/true"]]

# What needs two places to be compared, or arithmetic, is check's alone.
CHECKS_ALONE = re.compile(
    r"overlaps|twice|the first is at|is already|belongs to|is outside|in no subnet|not in the list|is not a VIP|is longer than|out of range "
    r"\(more than 0|bits behind the prefix|a (loopback|multicast) |is (no|the broadcast) address|cannot serve|too high|goes with|does nothing|"
    r"needs? \"?(port|TCP|masquerade)|has no TCP|has none|own table|from the lower|from \"100ms\"|\"shared\"|shared VIP|no address is left|"
    r"is the tun|another|same|does not say which port|a VIP|is missing: \"?the file|no VIP|would take|nobody would|nothing is checked|"
    r"lies in|no group is called|host's own|its own ports|gives out|is no VIP|a port of|of TCP|check over TCP|nobody serves|prefix of your|to the interface itself", re.I)


def load(program):
    return json.loads(subprocess.run([program, "schema"], capture_output=True, text=True, check=True).stdout)


def keys(schema, node=None, path=""):
    """Every key that the schema knows, by its path: "vips[].services[].port"."""
    found = set()
    node = schema if node is None else node
    while "$ref" in node:
        target = schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    for way in ("anyOf", "oneOf", "allOf"):
        for one in node.get(way, []):
            found |= keys(schema, one, path)
    for name, child in node.get("properties", {}).items():
        own = f"{path}.{name}" if path else name
        found |= {own} | keys(schema, child, own)
    return found | (keys(schema, node["items"], f"{path}[]") if isinstance(node.get("items"), dict) else set())


def places(value, path=()):
    """Every value of the tree, by its path."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def changed(chance):
    config = copy.deepcopy(SOUND)
    path = chance.choice([path for path in places(config) if path])
    parent = config
    for key in path[:-1]:
        parent = parent[key]
    kind = chance.random()
    if kind < 0.15:
        del parent[path[-1]]
    elif kind < 0.25 and isinstance(parent, dict):
        parent[chance.choice(["x", "prot", "Port", "backend", "comment"])] = 1
    else:
        parent[path[-1]] = chance.choice(VALUES)
    return path, config


def check(program, config):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        done = subprocess.run([program, "check", file.name], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done
    return [line.split(": ", 1)[1] for line in done.stderr.splitlines()]


def main():
    try:
        import jsonschema  # pylint: disable=import-outside-toplevel
    except ImportError:
        print("skipped: python3-jsonschema is not installed")
        sys.exit(1 if os.environ.get("CI") else 77)
    program = sys.argv[1]
    schema = load(program)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    assert check(program, SOUND) == [] and validator.is_valid(SOUND), (check(program, SOUND), list(validator.iter_errors(SOUND)))
    chance = random.Random(SEED)
    same = {True: 0, False: 0}
    alone = failures = 0
    for _ in range(COUNT):
        path, config = changed(chance)
        errors, valid = check(program, config), validator.is_valid(config)
        if valid == (not errors):
            same[valid] += 1
        elif valid and all(CHECKS_ALONE.search(error) for error in errors):
            alone += 1
        else:
            failures += 1
            print(f"{'.'.join(map(str, path))}: the schema says {'valid' if valid else 'invalid'}, check {errors or 'nothing'}")
    print(f"{COUNT} configurations: both say valid {same[True]}, both say invalid {same[False]}, {alone} need two places to be compared, "
          f"{failures} differ")
    sys.exit(failures > 0 or min(same.values()) < COUNT // 10)


if __name__ == "__main__":
    main()
