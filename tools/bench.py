#!/usr/bin/python3
"""Puts works to every way in turn, round by round, over a network of namespaces on this machine.

The engine alone: tools/bench.sh --engine."""

import argparse
import json
import subprocess
import sys
import time

from benchmark import chart, machine, report, ways, works
from benchmark.measurement import WrongWay, measure, prove
from lab.lab import Lab, end_on_signals
from lab.namespace import LabError

_BUSY = 0.1  # of the processors: with more, somebody else works on this machine


class Progress:
    """A line on a terminal that says what is being done."""

    def __init__(self, steps):
        self._steps = steps
        self._done = 0
        self._began = time.monotonic()
        self._shown = sys.stderr.isatty()

    def step(self, words):
        if self._shown:
            left = (time.monotonic() - self._began) / self._done * (self._steps - self._done) if self._done else 0
            until = f", {left / 60:.0f} min left" if left >= 90 else f", {left:.0f} s left" if left else ""
            print(f"\r\033[K{self._done + 1} of {self._steps}{until}: {words}", end="", file=sys.stderr, flush=True)
        self._done += 1

    def clear(self):
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def measure_all(options):
    """samples[work][way], an entry a round, None where a way failed; and why those failed."""
    samples = {work: {way: [] for way in options.ways} for work in options.works}
    failures, broken = [], set()
    progress = Progress(len(options.ways) * (1 + options.rounds * len(options.works)))
    try:
        for way in options.ways:
            progress.step(f"a file through {way}, for its hash")
            if not attempt(failures, f"{way}, a file", prove, way):
                broken.add(way)
        for number in range(options.rounds):
            for work in options.works:
                for way in options.ways:
                    progress.step(f"round {number + 1}, {works.WORKS[work].title}: {way}")
                    possible = way not in broken and (way, work) not in ways.IMPOSSIBLE
                    words = f"{way}, {works.WORKS[work].title}"
                    sample = attempt(failures, words, measure, way, works.WORKS[work], options.seconds) if possible else None
                    samples[work][way].append(sample)
    finally:
        progress.clear()
    return samples, failures


def attempt(failures, words, do, *arguments):
    """What `do` returns; None, with a reason in `failures`, when a program fails. Bytes that go a wrong way end everything."""
    try:
        return do(*arguments)
    except (LabError, subprocess.TimeoutExpired) as error:
        failures.append(f"{words}: {error}".strip())
        return None


def settings(names):
    with Lab() as lab:
        return {way: ways.WAYS[way](lab).settings() for way in names}


def print_settings(texts):
    for way, text in texts.items():
        print(f"\n{way}\n")
        print("\n".join(f"    {line}".rstrip() for line in text.strip().splitlines()))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="in less than 3 minutes: 3 rounds of 1 second")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--seconds", type=int, help="that each measurement takes; default 4")
    parser.add_argument("--ways", nargs="+", default=ways.USUAL, choices=ways.WAYS, metavar="WAY",
                        help=f"of {', '.join(map(repr, ways.WAYS))}; default: the first {len(ways.USUAL)}")
    parser.add_argument("--works", nargs="+", default=works.USUAL, choices=works.WORKS, metavar="WORK",
                        help="; ".join(f"{name}: {work.title}" for name, work in works.WORKS.items()) +
                        f"; default: the first {len(works.USUAL)}")
    parser.add_argument("--json", metavar="FILE", help="write everything, each round's figures too")
    parser.add_argument("--chart", metavar="FILE.svg", help="draw the ratios to nftables")
    parser.add_argument("--print-peers", action="store_true", help="print how the ways are set, and end")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 4)
    if options.chart and "nftables" not in options.ways:
        parser.error("--chart compares with nftables")
    return options


def bench(options):
    texts = settings(options.ways)
    if options.print_peers:
        print_settings(texts)
        return True
    host, busy = machine.description(), machine.load()
    rounds = f"{options.rounds} round{'s' if options.rounds > 1 else ''} of {options.seconds} s"
    subtitle = f"{rounds}, {host['processors']} × {host['model']}, Linux {host['kernel']}"
    print(subtitle)
    if busy > _BUSY:
        print(f"Something else keeps the processors {busy:.0%} busy. CPU counts that, too, and real-time threads (TUN limit; vipgate for\n"
              "large packets) take time from it that the others do not get: ratios are not those of an idle machine.")
    samples, failures = measure_all(options)
    figures = report.summary(samples, options.ways)
    report.show({work: works.WORKS[work] for work in options.works}, options.ways, figures)
    for failure in failures:
        print(f"\nFailed: {failure}")
    if not options.quick:
        print_settings(texts)
    if options.json:
        circumstances = {"machine": host, "busy_before": busy, "versions": machine.versions(), "settings": texts}
        extent = {"rounds": options.rounds, "seconds": options.seconds}
        with open(options.json, "w") as file:
            json.dump({**circumstances, **extent, "figures": figures, "samples": samples, "failures": failures}, file, indent=1)
    if options.chart:
        chart.draw(options.chart, {work: works.WORKS[work] for work in options.works}, options.ways, figures, subtitle)
    return not failures


def main():
    options = arguments()
    end_on_signals()
    try:
        return 0 if bench(options) else 1
    except (LabError, WrongWay, subprocess.TimeoutExpired) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
