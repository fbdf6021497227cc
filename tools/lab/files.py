"""Large files to transfer, and their hashes."""

import functools
import hashlib
import os
import random

_BLOCK = 1 << 20


@functools.cache
def _random_block():
    return os.urandom(_BLOCK)


def write_random(path, size):
    """Writes a file of random blocks, no two of them alike, at the speed of memory. Returns its SHA-256."""
    block = _random_block()
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for turn in random.sample(range(_BLOCK), -(-size // _BLOCK)):
            data = (block[turn:] + block[:turn])[:size - file.tell()]
            file.write(data)
            digest.update(data)
    return digest.hexdigest()


def sha256(file):
    """The SHA-256 of what a binary file still holds."""
    digest = hashlib.sha256()
    while data := file.read(1 << 20):
        digest.update(data)
    return digest.hexdigest()


def sha256_at(path):
    with open(path, "rb") as file:
        return sha256(file)
