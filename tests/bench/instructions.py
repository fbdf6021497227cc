#!/usr/bin/python3
"""How many instructions the engine spends on a packet: instructions.py BENCH_STEPS. Fails when it is a tenth more than was
recorded. Time is no such guard: it depends on the machine and on what else that does."""

import os
import re
import shutil
import subprocess
import sys

# A packet of a known TCP flow, and the SYN that opens a masqueraded one: g++ 12, x86-64.
RECORDED = {"packet": 1038, "set-up": 2692}
MORE = 1.1
COUNTS = (16384, 65536)


def collected(program, what, count):
    """Instructions within Engine::process() during a run."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=vipgate::Engine::process(*",
         program, what, str(count)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"instructions: {what} {count} failed: {done.stderr}")
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def main():
    if shutil.which("valgrind") is None:
        print("valgrind is not installed")
        sys.exit(1 if os.environ.get("CI") else 77)
    failed = False
    for what, recorded in RECORDED.items():
        few, many = (collected(sys.argv[1], what, count) for count in COUNTS)
        each = (many - few) / (COUNTS[1] - COUNTS[0])
        failed |= each > recorded * MORE
        print(f"{what}: {each:.0f} instructions, {recorded} recorded")
    if failed:
        print("That is more than a tenth above. Find out what costs them; where it is worth it, record the new figure.")
    sys.exit(failed)


if __name__ == "__main__":
    main()
