"""What the demo prints: calm, and in colour only on a terminal."""

import os
import sys

_COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ
_BOLD, _DIM, _GREEN, _RED, _BLUE = "1", "2", "32", "31", "36"


def _paint(text, style):
    return f"\033[{style}m{text}\033[0m" if _COLOURS else text


def text(lines):
    for line in lines.rstrip("\n").split("\n"):
        print(f"  {line}".rstrip(), flush=True)


def title(words):
    print(f"\n  {_paint(words, _BOLD)}\n", flush=True)


def heading(words):
    print(f"\n  {_paint(words, _BOLD)}", flush=True)


def command(words, remark=""):
    print(f"    {_paint('$', _DIM)} {_paint(words, _BLUE)}" + (_paint(f"   # {remark}", _DIM) if remark else ""), flush=True)


def answer(line):
    print(f"      {line}", flush=True)


def quiet(lines):
    for line in lines.rstrip("\n").split("\n"):
        print(_paint(f"    {line}", _DIM), flush=True)


def verdict(right, words):
    print(f"    {_paint('✓', _GREEN) if right else _paint('✗', _RED)} {_paint(words, _DIM) if right else words}", flush=True)


def summary(right, words):
    print(f"\n  {_paint(words, _GREEN if right else _RED)}", flush=True)
