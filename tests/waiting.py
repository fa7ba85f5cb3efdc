"""Waits for conditions that another thread or process brings about."""

import threading
import time


def eventually(condition, seconds=60.0):
    """Wait until `condition()` is true and return its result."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not so within {seconds} seconds"
        pause.wait(0.02)
    return result
