"""Waiting for what must happen."""

import time

from .namespace import LabError

PATIENCE = 60  # seconds: what is waited for takes few, but a busy machine may stand still for some


def until(what, look, wanted=True, patience=PATIENCE):
    """Looks again and again until it sees what is wanted; True: anything that counts as true. Returns it."""
    deadline = time.monotonic() + patience
    while (seen := look()) != wanted and not (wanted is True and seen):
        if time.monotonic() > deadline:
            raise LabError(f"waited in vain for {what}: {seen!r}, not {wanted!r}")
        time.sleep(0.05)
    return seen
