"""Run one seed and print its trace, or many seeds in parallel: `python -m tests.simulation SEED [COUNT]`."""

import gc
import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .seeds import run_seed
from .twin import folder

CHUNK = 20


def run_chunk(seeds):
    """Return the number of seeds, and a line for each failing one."""
    return len(seeds), [str(run) for run in map(run_seed, seeds) if run.problem]


def run_many(first, count):
    """Run the seeds in parallel processes, print progress and failing seeds; return the number of these."""
    chunks = [range(n, min(n + CHUNK, first + count)) for n in range(first, first + count, CHUNK)]
    began, done, failed = time.monotonic(), 0, 0
    folder()  # of this process, which removes it; its children inherit it
    gc.freeze()  # the modules, which no collection of a child need look at
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, lines in pool.map(run_chunk, chunks):
            done, failed = done + number, failed + len(lines)
            print(
                *lines,
                f"{done} seeds, {failed} failed, {done / (time.monotonic() - began):.0f}/s",
                sep="\n",
                flush=True,
            )
    return failed


def main():
    logging.disable()  # processes that lose their connections are the subject here
    first, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    if count:
        return 1 if run_many(first, count) else 0
    run = run_seed(first, traced=True)
    print(*run.trace, run.problem or f"no problem in {run.events} events", sep="\n")
    return 1 if run.problem else 0


if __name__ == "__main__":
    sys.exit(main())
