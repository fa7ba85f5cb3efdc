"""Shared by the benchmarks: contenders measured in turn, their medians, and one JSON document at the end."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Measurement = Mapping[str, float]
"""The results of one run of a contender by quantity; the unit is the end of the quantity's name."""

PEERS = Path(__file__).with_name("peers")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of a benchmark.

    Attributes:
        rounds: times each contender runs.
        smallest: run as little as goes through every line of ours, without peers: the figures mean nothing.
    """

    rounds: int
    smallest: bool

    @classmethod
    def parse(cls, description: str | None, rounds: int) -> "Options":
        """Read the command line; `rounds` is the default."""
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument(
            "--rounds", type=int, default=rounds, help="times each contender runs (default %(default)s)"
        )
        text = "one round of the smallest size and without peers: shows that the benchmark works, measures nothing"
        parser.add_argument("--smallest", action="store_true", help=text)
        options = parser.parse_args()
        return cls(1 if options.smallest else options.rounds, options.smallest)

    def size(self, usual: int, smallest: int) -> int:
        """The size that is asked for of the two."""
        return smallest if self.smallest else usual


@dataclass(frozen=True, slots=True)
class Peer:
    """A contender that is not ours; it is left out at the smallest size."""

    measure: Callable[[], Measurement]

    def __call__(self) -> Measurement:
        return self.measure()


def run_peer(script: str, *arguments: object) -> list[dict[str, Any]]:
    """Run a script of `peers/` in a process of its own; the JSON lines that it prints."""
    command = [sys.executable, str(PEERS / script), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    # One that has told its results may still stumble over its own end.
    if not results:
        raise RuntimeError(f"{script} gave no result and ended with status {done.returncode}")
    return results


def own_session() -> None:
    """Give this process a session of its own, as the local cluster gives its processes: Linux may share out a busy
    machine by session (autogroup), and every process of every contender is to get the same share.
    """
    os.setsid()


class Comparison:
    """Contenders that run in turn, A B A B ..., so that whatever else the machine does meets all of them alike."""

    def __init__(self, options: Options, contenders: Mapping[str, Callable[[], Measurement]]) -> None:
        kept = {n: c for n, c in contenders.items() if not (options.smallest and isinstance(c, Peer))}
        self._contenders, self._rounds = kept, options.rounds
        self._taken: dict[str, list[Measurement]] = {name: [] for name in kept}
        self._ratios: list[dict[str, Any]] = []

    def run(self) -> None:
        """Run every contender once a round; progress, with the duration of the last round, goes to standard error."""
        seconds: dict[str, float] = {}
        for number in range(1, self._rounds + 1):
            for name, contender in self._contenders.items():
                last = f", took {seconds[name]:.0f} s in the last round" if name in seconds else ""
                _say(f"round {number}/{self._rounds}  {name}: begins{last}")
                began = time.monotonic()
                measured = contender()
                seconds[name] = time.monotonic() - began
                self._taken[name].append(measured)
                text = "  ".join(f"{quantity} {value:,.4g}" for quantity, value in measured.items())
                _say(f"round {number}/{self._rounds}  {name}: {text}  ({seconds[name]:.1f} s)")

    def median(self, contender: str, quantity: str) -> float:
        """Over the rounds."""
        return statistics.median(measured[quantity] for measured in self._taken[contender])

    def ratio(
        self, quantity: str, of: str, to: str, *, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        """Report the ratio of two contenders' medians, and whether it keeps its bound if it has one.

        Nothing is reported where one of them is a peer that was left out.
        """
        if not {of, to} <= self._taken.keys():
            return
        value = self.median(of, quantity) / self.median(to, quantity)
        ratio: dict[str, Any] = {"quantity": quantity, "of": of, "to": to, "ratio": rounded(value)}
        if at_least is not None:
            ratio |= {"at_least": rounded(at_least), "kept": value >= at_least}
        if at_most is not None:
            ratio |= {"at_most": rounded(at_most), "kept": value <= at_most}
        self._ratios.append(ratio)

    def document(self, benchmark: str, **more: Any) -> dict[str, Any]:
        """Everything, ready to print."""
        quantities = {name: list(dict.fromkeys(q for m in taken for q in m)) for name, taken in self._taken.items()}
        return {
            "benchmark": benchmark,
            "machine": machine(),
            "rounds": max(map(len, self._taken.values())),
            "medians": {name: {q: rounded(self.median(name, q)) for q in qs} for name, qs in quantities.items()},
            "ratios": self._ratios,
            **more,
            "measured": {
                name: {q: [rounded(m[q]) for m in self._taken[name]] for q in qs} for name, qs in quantities.items()
            },
        }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def print_document(document: Mapping[str, Any]) -> None:
    """The one thing on standard output."""
    print(json.dumps(document, indent=2), flush=True)


def rounded(value: float) -> float:
    """Four significant digits: none of these figures knows more."""
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """The machine that the figures are for. A load average far above 0 shows that other work was running."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores,
        "cpu": _processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        **_versions(("numpy", "torch", "ray")),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions(packages: Sequence[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
