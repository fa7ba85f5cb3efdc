"""Passes the epochs of a run to trackers, each on a thread with a bounded queue: one that hangs slows no step."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .trackers import Tracker, opener

if TYPE_CHECKING:
    from .events import Event

WAITING = 10_000
"""Maximum number of epochs that wait for a tracker; later ones are counted as not written."""
END_SECONDS = 30.0
"""Time that a tracker has to write what waits when the run has ended."""

Metrics = Mapping[str, Mapping[str, float]]
Open = Callable[[str], Tracker]


@dataclass(frozen=True, slots=True)
class _Epoch:
    epoch: int
    step: int
    metrics: dict[str, float]


class Tracking:
    """One tracker on a thread of its own. Epochs are written once, in ascending order of their numbers."""

    def __init__(self, target: str, run: str, open_tracker: Open) -> None:
        self.target = target
        self._waiting: queue.Queue[_Epoch | None] = queue.Queue(WAITING)
        self._newest = self._lost = 0
        self._error = ""
        # A daemon, because one that hangs must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._work, args=(run, open_tracker), name=f"track {target}", daemon=True
        )
        self._thread.start()

    def epoch(self, epoch: int, step: int, metrics: Metrics) -> None:
        """Pass on an epoch, unless it or a later one was before. Never blocks."""
        if epoch <= self._newest:
            return
        self._newest = epoch
        named = {f"{split}_{name}": value for split, values in metrics.items() for name, value in values.items()}
        try:
            self._waiting.put_nowait(_Epoch(epoch, step, named))
        except queue.Full:
            self._lost += 1

    def close(self, seconds: float = END_SECONDS) -> str:
        """Write what waits, and return a sentence about what was not written; empty if nothing is missing."""
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:
            pass
        else:
            self._thread.join(seconds)
        if self._thread.is_alive():
            missing = self._lost + self._waiting.qsize()
            return f"{self.target}: it has not answered for {seconds:g} s; up to {missing} epochs are not written"
        if self._error or self._lost:
            return f"{self.target}: {self._lost} epochs are not written{self._error and f': {self._error}'}"
        return ""

    def _work(self, run: str, open_tracker: Open) -> None:
        tracker: Tracker | None = None
        try:
            tracker = open_tracker(run)
            while (one := self._waiting.get()) is not None:
                if one.epoch > tracker.last:
                    tracker.write(one.epoch, one.step, one.metrics)
            tracker.close()
        except Exception as error:  # whatever a tracker raises must not end training
            self._error = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            if tracker is not None:
                self._lost += 1
                with suppress(Exception):
                    tracker.close()
            while (one := self._waiting.get()) is not None:
                self._lost += 1


def tracked(events: "Iterable[Event]", trackers: Sequence[Tracking]) -> "Iterator[Event]":
    """Pass on the events of a job, and its epochs to trackers."""
    from .events import EpochEnded

    for event in events:
        if isinstance(event, EpochEnded):
            for tracker in trackers:
                tracker.epoch(event.epoch, event.step, event.metrics)
        yield event


@contextmanager
def tracking(targets: Iterable[str], run: str, say: Callable[[str], None]) -> Iterator[list[Tracking]]:
    """Open the trackers of targets such as `tensorboard:DIR`; at the end `say` receives what was not written.

    Args:
        targets: see `trackers.opener`.
        run: the name of the run, the same when it goes on.
        say: receives one line for each tracker that has not written everything.

    Raises:
        ValueError: a target is unknown.
        MissingExtra: the package of a tracker is not installed.
    """
    openers = [(target, opener(target)) for target in targets]
    trackers = [Tracking(target, run, open_tracker) for target, open_tracker in openers]
    try:
        yield trackers
    finally:
        for tracker in trackers:
            if problem := tracker.close():
                say(problem)
