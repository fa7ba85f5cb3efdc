"""Preparing a job beside the thread that answers its service: reading a large file takes minutes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from raydient.spec.errors import InvalidSpec
from raydient.wire import control
from raydient.workers.data.limits import size_text

from .preparation import Prepared
from .reports import Finished, Notice, Outcome, Report

POLL_SECONDS = 0.005
"""Adds at most so much to the start of a job."""
LONG_SECONDS = 1.0
"""Reading that takes longer is told."""
ENDS = {control.Order.CANCEL: Outcome.CANCELLED, control.Order.INTERRUPT: Outcome.INTERRUPTED}


def prepare_beside(
    prepare: Callable[[], Prepared],
    dataset: Path,
    *,
    answer: Callable[[float], None],
    orders: list[control.Command | control.Scale],
    tell: Callable[[Report], None],
    step: Callable[[], int],
    clock: Callable[[], float] = time.monotonic,
) -> Prepared | Finished:
    """Call `prepare` on a thread of its own; the job, or how it ends without one.

    Args:
        prepare: reads `dataset` and builds the network.
        dataset: the file, for the message.
        answer: answers the service for so many seconds at the most. It may add to `orders`.
        orders: an order to stop ends the wait at once, and is left to nobody else; the thread is abandoned.
        tell: gets a notice where reading takes long.
        step: the newest checkpoint's; a job that ends here is where it was before.
        clock: seconds.
    """
    result: Future[Prepared] = Future()
    threading.Thread(target=_complete, args=(result, prepare), name="prepare", daemon=True).start()
    began, told = clock(), False
    while not result.done():
        answer(POLL_SECONDS)
        for order in orders:
            if isinstance(order, control.Command):
                return Finished(ENDS[order.order], step())
        if not told and clock() - began > LONG_SECONDS:
            told = True
            tell(Notice("READING_DATA", _reading(dataset)))
    try:
        return result.result()
    except InvalidSpec as invalid:
        # The service has checked this before. The data may have changed since then, for one.
        return Finished(Outcome.FAILED, step(), "", "INVALID_SPEC", "; ".join(map(str, invalid.errors)))
    except OSError as error:
        name = Path(error.filename).name if isinstance(error.filename, str | Path) else dataset.name
        message = f"the job could not be prepared: {name}: {error.strerror or error}"
        return Finished(Outcome.FAILED, step(), "", "STORAGE", message)
    except MemoryError:
        message = f"reading {dataset.name} takes more memory than the coordinator's machine has"
        return Finished(Outcome.FAILED, step(), "", "OUT_OF_MEMORY", message)


def _reading(dataset: Path) -> str:
    with suppress(OSError):  # it may have been removed; the reader tells that
        return f"reading {dataset.name}, {size_text(dataset.stat().st_size)}"
    return f"reading {dataset.name}"


def _complete(result: "Future[Prepared]", prepare: Callable[[], Prepared]) -> None:
    try:
        result.set_result(prepare())
    except BaseException as error:
        result.set_exception(error)
