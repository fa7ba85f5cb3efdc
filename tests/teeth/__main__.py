"""Plants each bug in a copy of the sources and runs its catcher there: `python -m tests.teeth [WORD ...]`.

With words it plants the bugs with such a word in the title or the path of a file.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .planting import BUGS, copy_sources, plant, run_catcher


def try_catcher(catcher, bug=None):
    """Return the problem that a catcher reports, with the bug if there is one; empty if it reports none.

    A catcher that does not end has not detected the bug; without one, that is a problem of its own.
    """
    with tempfile.TemporaryDirectory(prefix="raydient-teeth-") as name:
        folder = Path(name)
        copy_sources(folder)
        if bug is not None:
            plant(bug, folder)
        try:
            return run_catcher(catcher, folder)
        except subprocess.TimeoutExpired as late:
            return "" if bug else f"{catcher}: no end after {late.timeout} s"


def main():
    """Print a line for each bug. The status is 1 if a catcher fails without a bug, or does not detect its bug."""
    words, began, failures = sys.argv[1:], time.monotonic(), 0
    chosen = [b for b in BUGS if not words or any(w in f"{b.title} {e.file}".lower() for w in words for e in b.edits)]
    catchers = list(dict.fromkeys(bug.catcher for bug in chosen))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for problem in filter(None, pool.map(try_catcher, catchers)):
            failures += 1
            _say(f"without a bug: {problem}")
        results = pool.map(lambda bug: try_catcher(bug.catcher, bug), chosen)
        missed = 0
        for bug, problem in zip(chosen, results, strict=True):
            missed += not problem
            _say(f"{bug.title:62} {problem or f'NOT CAUGHT by {bug.catcher}'}")
    _say(f"{len(chosen) - missed} of {len(chosen)} bugs caught, {time.monotonic() - began:.0f} s")
    return 1 if missed or failures else 0


def _say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
