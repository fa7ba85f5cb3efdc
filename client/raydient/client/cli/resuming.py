"""Runs of `raydient train` that end early: signals, folders that are kept, and the checks before a resume."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from .failures import NOT_ALLOWED, WRONG_USAGE, Failure
from .output import echo, print_json, print_table

if TYPE_CHECKING:
    from .runs import Run, Runs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Signal handler. Before training begins a signal ends the command; afterwards it requests a checkpoint and an end.

    A second signal ends the command at once.
    """

    def __init__(self) -> None:
        self._ask: Callable[[], None] | None = None

    def begin(self, ask: Callable[[], None]) -> None:
        """Note that training has begun; `ask` requests a checkpoint and an end."""
        self._ask = self._ask or ask

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        ask, self._ask = self._ask, None
        if ask is None:
            raise KeyboardInterrupt
        ask()


@contextmanager
def signals_interrupt() -> Iterator[Interruption]:
    """Handle SIGINT, SIGTERM and SIGHUP with an `Interruption` inside this context."""
    interruption = Interruption()
    before = {number: signal.signal(number, interruption) for number in SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_runs() -> "Runs":
    """Open the runs of this user and remove those without a checkpoint. Raises Failure."""
    import platformdirs

    from .runs import Runs

    runs = Runs(platformdirs.user_state_path("raydient") / "train")
    runs.sweep()
    return runs


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Remove a run's folder at the end. After an error keep it if it holds a checkpoint, and print how to resume it."""
    from raydient.server.training.own_faults import OWN_FAULTS

    from .runs import has_checkpoint, read_run

    try:
        yield
    except BaseException:
        if not has_checkpoint(folder):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        run = read_run(folder)
        with suppress(OSError):  # the terminal may be gone
            if run is not None and run.reason in OWN_FAULTS:
                echo(
                    f"The last good checkpoint is kept: {folder}; remove it: raydient train --remove {folder.name}",
                    err=True,
                )
            else:
                echo(f"Its last checkpoint is kept. Go on: raydient train --resume {folder.name}", err=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)


def check_resumable(run: "Run") -> None:
    """Raise Failure if a run would fail again, or if a data file of it has changed."""
    from raydient.server.training.own_faults import OWN_FAULTS
    from raydient.spec.patterns import to_texts

    from .runs import sha256_of

    if run.reason in OWN_FAULTS:
        message = f"{run.name} failed by its own fault and would fail again: {run.reason}: {run.message}"
        raise Failure(message, NOT_ALLOWED, "JOB_AT_FAULT")
    remedy = f"put the file back that it began with, or begin anew: raydient train {run.job}"
    for data, sha256 in run.files:
        file = ", ".join(to_texts(data))
        try:
            now = sha256_of(data)
        except OSError as error:
            message = f"{file}: the data of {run.name} cannot be read: {error.strerror}; {remedy}"
            raise Failure(message, WRONG_USAGE, "DATA_MISSING") from error
        if now != sha256:
            message = f"{file} has changed since {run.name} began (SHA-256 {now}, it was {sha256}); {remedy}"
            raise Failure(message, NOT_ALLOWED, "DATA_CHANGED")


def print_runs(runs: "Runs", as_json: bool) -> None:
    """List the runs that are kept."""
    listed = runs.list()
    if as_json:
        rows = [
            {
                "name": one.name,
                "state": one.state,
                "step": one.step,
                "job": one.run.job if one.run else "",
                "created": one.run.created if one.run else "",
                "folder": str(runs.root / one.name),
            }
            for one in listed
        ]
        print_json({"runs": rows})
        return
    print_table(
        ["NAME", "STATE", "STEP", "BEGUN", "JOB"],
        [
            [
                one.name,
                one.state,
                str(one.step or ""),
                f"{one.run.created[:19].replace('T', ' ')} UTC" if one.run else "",
                one.run.job if one.run else "",
            ]
            for one in listed
        ],
    )
