"""Prepares a job on a separate thread, so that the coordinator answers its service while a large file is read."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from raydient.spec.errors import InvalidSpec
from raydient.spec.patterns import DataPath, files_of, name_of
from raydient.wire import control
from raydient.workers.data.limits import size_text

from .preparation import Prepared
from .reports import Finished, Notice, Outcome, Report

POLL_SECONDS = 0.005
"""Interval between checks for the result; it delays the start of a job by at most as much."""
LONG_SECONDS = 3.0
"""A notice is sent if reading takes longer than this."""
ENDS = {control.Order.CANCEL: Outcome.CANCELLED, control.Order.PAUSE: Outcome.PAUSED}


def prepare_beside(
    prepare: Callable[[], Prepared],
    dataset: DataPath,
    *,
    answer: Callable[[float], None],
    orders: list[control.RunOrder],
    report: Callable[[Report], None],
    step: Callable[[], int],
    clock: Callable[[], float] = time.monotonic,
) -> Prepared | Finished:
    """Call `prepare` on a separate thread. Returns the prepared job, or a `Finished` if it ends before training.

    Args:
        prepare: reads `dataset` and builds the network.
        dataset: the file, for the message.
        answer: answers the service for at most the given number of seconds. It may add to `orders`.
        orders: a cancellation or a pause ends the wait at once; the thread is then abandoned.
        report: receives a notice if reading takes long.
        step: returns the step of the newest checkpoint, which is the position of a job that ends before training.
        clock: monotonic seconds.
    """
    result: Future[Prepared] = Future()
    threading.Thread(target=_complete, args=(result, prepare), name="prepare", daemon=True).start()
    began, announced = clock(), False
    while not result.done():
        answer(POLL_SECONDS)
        for order in orders:
            if isinstance(order, control.Command):
                return Finished(ENDS[order.order], step())
        if not announced and clock() - began > LONG_SECONDS:
            announced = True
            report(Notice("READING_DATA", _reading(dataset)))
    try:
        return result.result()
    except InvalidSpec as invalid:
        # The service has already checked the job, but the data may have changed since then.
        return Finished(Outcome.FAILED, step(), "", "INVALID_SPEC", "; ".join(map(str, invalid.errors)))
    except OSError as error:
        name = Path(error.filename).name if isinstance(error.filename, str | Path) else name_of(dataset)
        message = f"the job could not be prepared: {name}: {error.strerror or error}"
        return Finished(Outcome.FAILED, step(), "", "STORAGE", message)
    except MemoryError:
        message = f"reading {name_of(dataset)} takes more memory than the coordinator's machine has"
        return Finished(Outcome.FAILED, step(), "", "OUT_OF_MEMORY", message)


def _reading(dataset: DataPath) -> str:
    with suppress(OSError):  # it may have been removed; the reader reports that
        return f"reading {size_text(sum(file.stat().st_size for file in files_of(dataset)))} of data"
    return "reading the data"


def _complete(result: "Future[Prepared]", prepare: Callable[[], Prepared]) -> None:
    try:
        result.set_result(prepare())
    except BaseException as error:
        result.set_exception(error)
