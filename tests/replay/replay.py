#!/usr/bin/python3
"""Replays the captures beside this script.

What `vipgate replay` says of each packet must be what stands in the .golden file, and what it would send must be, byte for byte, what the
gateway sent when the capture was recorded. `replay.py --update` writes the golden files anew: read the difference before committing it.
"""

import argparse
import glob
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tools"))

from lab import pcap
from lab.vipgate import binary

CONFIG = os.path.join(HERE, "vipgate.json")
CAPTURES = sorted(glob.glob(os.path.join(HERE, "*.pcap")))
VIP, MASQUERADE = bytes([203, 0, 113, 10]), bytes([203, 0, 113, 14])
PRIVATE = bytes([10, 0, 0])  # network of the backends and of the hosts with egress


def golden(capture):
    return capture.removesuffix(".pcap") + ".golden"


def replay(capture, *options):
    command = [binary(), "replay", "--config", CONFIG, "--json", "--seed", "1", capture, *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def is_sent_by_gateway(packet):
    source, destination = packet[12:16], packet[16:20]
    return source in (VIP, MASQUERADE) or (destination[:3] == PRIVATE and source[:3] != PRIVATE)


def sent_by_gateway(capture):
    return [packet for packet in pcap.read(capture) if is_sent_by_gateway(packet)]


class Replay(unittest.TestCase):
    maxDiff = None

    def test_there_are_captures(self):
        self.assertGreaterEqual(len(CAPTURES), 10)

    def test_verdicts_are_golden(self):
        for capture in CAPTURES:
            with self.subTest(os.path.basename(capture)), open(golden(capture)) as file:
                self.assertEqual(replay(capture), file.read())

    def test_output_is_what_the_gateway_sent(self):
        for capture in CAPTURES:
            with self.subTest(os.path.basename(capture)), tempfile.NamedTemporaryFile() as out:
                replay(capture, "--write", out.name)
                sent = sent_by_gateway(capture)
                if sent:  # the download was recorded without
                    self.assertEqual(sorted(pcap.read(out.name)), sorted(sent))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the golden files anew")
    arguments, rest = parser.parse_known_args()
    if not arguments.update:
        unittest.main(argv=[sys.argv[0], *rest])
    for capture in CAPTURES:
        with open(golden(capture), "w") as file:
            file.write(replay(capture))


if __name__ == "__main__":
    main()
