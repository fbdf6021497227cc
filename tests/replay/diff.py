#!/usr/bin/python3
"""`vipgate replay --diff`: which packets of the captures beside this script another configuration would treat otherwise."""

import copy
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tools"))

from lab import pcap
from lab.vipgate import binary

CONFIG = os.path.join(HERE, "vipgate.json")
CAPTURE = os.path.join(HERE, "http_keep_alive.pcap")
SAME, DIFFER, WRONG_INPUT = 0, 1, 2  # exit codes, as of diff

with open(CONFIG) as file:
    SETTINGS = json.load(file)


def service(settings, name):
    return next(one for one in settings["vips"][0]["services"] if one["name"] == name)


def command(other, *words, capture=CAPTURE):
    return [binary(), "replay", "--config", CONFIG, "--diff", other, *words, capture]


class Diff(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def other(self, change=lambda settings: None):
        """A file with the configuration, changed."""
        settings = copy.deepcopy(SETTINGS)
        change(settings)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".json", delete=False) as file:
            json.dump(settings, file)
        return file.name

    def diff(self, change, *words, capture=CAPTURE):
        return subprocess.run(command(self.other(change), *words, capture=capture), capture_output=True, text=True, check=False)

    def lines(self, change, **options):
        """What --json says: the packets, and the summary."""
        said = self.diff(change, "--json", **options)
        lines = [json.loads(line) for line in said.stdout.splitlines()]
        return said.returncode, lines[:-1], lines[-1]["summary"]

    def test_the_same_configuration(self):
        count = len(pcap.read(CAPTURE))
        said = self.diff(lambda settings: None)
        self.assertEqual((said.returncode, said.stdout), (SAME, f"{count} packets: {count} the same, 0 otherwise\n"))
        said = self.diff(lambda settings: settings["timeouts"].update(udp="1m") if "timeouts" in settings else settings.update(timeouts={"udp": "1m"}))
        self.assertEqual(said.returncode, SAME, "what concerns no packet is no difference")

    def test_a_service_that_is_gone(self):
        def change(settings):
            service(settings, "web")["port"] = 81

        said = self.diff(change)
        self.assertEqual(said.returncode, DIFFER, said.stderr)
        self.assertRegex(said.stdout.splitlines()[0],
                         r"^1 1970-01-01T00:00:01.000000000Z tcp 198.51.100.7:34534 > 203.0.113.10:80 S .*  "
                         r"was: forward web/10.0.0.2:8080  would be: reply no_service$")
        code, packets, summary = self.lines(change)
        self.assertEqual(code, DIFFER)
        self.assertEqual(packets[0]["differs"], "verdict")
        self.assertEqual(packets[0]["was"]["backend"], "10.0.0.2:8080")
        self.assertEqual((packets[0]["would_be"]["verdict"], packets[0]["would_be"]["reason"]), ("reply", "no_service"))
        self.assertEqual(summary["packets"], len(pcap.read(CAPTURE)))
        self.assertEqual((summary["differ"], summary["packets"]), (len(packets), summary["same"] + summary["differ"]))
        self.assertEqual(sum(summary["kinds"].values()), summary["differ"])
        own = [packet for packet in packets if packet["was"]["verdict"] == "own_output"]
        self.assertEqual(own, [], "what the gateway had sent is its own still")

    def test_another_backend_another_name_another_packet(self):
        def backend(settings):
            service(settings, "web")["backends"][0]["address"] = "10.0.0.7"

        _, packets, _ = self.lines(backend)
        self.assertEqual((packets[0]["differs"], packets[0]["would_be"]["backend"]), ("backend", "10.0.0.7:8080"))

        _, packets, summary = self.lines(lambda settings: service(settings, "web").update(name="site"))
        self.assertEqual(set(summary["kinds"].items()) - {("service", len(packets))},
                         {(kind, 0) for kind in ("verdict", "reason", "backend", "output")})
        _, packets, summary = self.lines(lambda settings: service(settings, "web").update(mss=1200))
        self.assertEqual({one["differs"] for one in packets}, {"output"}, "the segment size in the SYNs")
        self.assertEqual(summary["differ"], 2)
        said = self.diff(lambda settings: settings.update(masquerade=["203.0.113.13"]))
        self.assertRegex(said.stdout, r"was: forward web/10.0.0.2:8080 \| tcp 203.0.113.14:.*"
                                      r"would be: forward web/10.0.0.2:8080 \| tcp 203.0.113.13:")

    def test_wrong_input(self):
        for words in ((self.other(lambda settings: settings.pop("vips")),), ("/nowhere.json",), (self.other(), "--write", "out.pcap")):
            said = subprocess.run(command(*words), capture_output=True, text=True, check=False)
            self.assertEqual(said.returncode, WRONG_INPUT, words)
            self.assertNotEqual(said.stderr, "")
        said = self.diff(lambda settings: None, capture="/nowhere.pcap")
        self.assertEqual(said.returncode, WRONG_INPUT)

    def long_capture(self):
        path = os.path.join(self.folder, "long.pcap")
        packets = pcap.read(os.path.join(HERE, "http_download.pcap"))
        pcap.write(path, [(number * 1000, packet[:60]) for number, packet in enumerate(packets * (500000 // len(packets)))])
        return path

    def test_a_bar_shows_how_far_a_long_replay_is(self):
        capture = self.long_capture()
        for words in (command(self.other(), capture=capture), [binary(), "replay", "--config", CONFIG, "--json", capture]):
            ours, theirs = pty.openpty()
            shown = bytearray()

            def read(ours=ours, shown=shown):
                try:
                    while data := os.read(ours, 4096):
                        shown.extend(data)
                except OSError:  # nobody has it open any more
                    pass

            with open(os.path.join(self.folder, "out"), "wb") as out, subprocess.Popen(words, stdout=out, stderr=theirs) as process:
                os.close(theirs)
                reader = threading.Thread(target=read)
                reader.start()
                self.assertEqual(process.wait(120), 0)
                reader.join()
            os.close(ours)
            parts = [int(part) for part in re.findall(rb"\] +(\d+) % of \d+\.\d MB", shown)]
            self.assertGreater(len(parts), 0, shown)
            self.assertEqual(parts, sorted(parts))
            self.assertTrue(shown.endswith(b"\r\x1b[K"), "it goes at the end")

    def test_no_bar_on_a_pipe(self):
        capture = self.long_capture()
        said = subprocess.run(command(self.other(), capture=capture), capture_output=True, check=True)
        self.assertEqual(said.stderr, b"")


if __name__ == "__main__":
    unittest.main()
