"""One of four workers at a quarter of the speed of the others: the rate of training against the ideal.

Each worker is stopped and continued by signals, 10 times a second. Three run 20 % of the time and the slow one 5 %, so
four workers leave most of two cores idle, and each has its own speed. The same with equal shares shows what a straggler
costs if the shares do not follow the speed, and how slow it really is. The ideal is the rate without a straggler times
the sum of the speeds over four.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from comparison import Comparison, Measurement, Options, print_document, rounded
from elastic import Watched
from workload import job

from raydient.server.clusters.opening import open_cluster
from raydient.server.training import plans
from raydient.server.training.history import HISTORY_FILE, History
from raydient.server.training.members import Members
from raydient.server.training.preparation import prepare
from raydient.server.training.reports import Finished, Outcome, Progress, Report
from raydient.server.training.shell import MESSAGE_LIMIT, CoordinatorShell
from raydient.server.training.storage import Storage
from raydient.spec.job import JobSpec
from raydient.wire import control
from raydient.wire.control import Role
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Hub

WORKERS, LEAVES = 4, 16
PERIOD_SECONDS = 0.1
FAST, SLOW = 0.2, 0.05
"""Share of the time that a worker runs."""
WARM_UP_STEPS = 16
"""Shares follow the speed after five measurements, here after as many steps; not counted."""
RATE = "samples_per_second"
EVEN, UNEVEN, EQUAL_SHARES = "no straggler", "straggler", "straggler, equal shares"


@contextmanager
def duty(pid: int, share: float, phase: float) -> Iterator[None]:
    """Let a child process run `share` of the time, from `phase` of a period on."""
    process, over = os.pidfd_open(pid), threading.Event()

    def cycle() -> None:
        over.wait(phase * PERIOD_SECONDS)
        began = time.monotonic()
        for number in range(sys.maxsize):
            end = began + number * PERIOD_SECONDS
            try:
                signal.pidfd_send_signal(process, signal.SIGCONT)
                over.wait(max(0.0, end + share * PERIOD_SECONDS - time.monotonic()))
                if over.is_set():
                    return
                signal.pidfd_send_signal(process, signal.SIGSTOP)
            except ProcessLookupError:
                return
            over.wait(max(0.0, end + PERIOD_SECONDS - time.monotonic()))

    thread = threading.Thread(target=cycle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        os.close(process)


class Watch:
    """Receives the reports of a run, and slows its workers down from the first report of progress on."""

    def __init__(self, cluster: Watched, shares: Sequence[float]) -> None:
        self.progress: list[Progress] = []
        self.finished: Finished | None = None
        self._cluster, self._shares = cluster, shares
        self._duties = ExitStack()

    def tell(self, report: Report) -> None:
        if isinstance(report, Progress):
            if not self.progress:
                workers = self._cluster.started[Role.WORKER]
                for place, (worker, share) in enumerate(zip(workers, self._shares, strict=True)):
                    self._duties.enter_context(duty(worker.pid, share, place / WORKERS))
            self.progress.append(report)
        elif isinstance(report, Finished):
            self.finished = report
            self.close()  # the workers end by themselves

    def close(self) -> None:
        self._duties.close()

    def measurement(self) -> Measurement:
        """Return the rate after the warm-up."""
        first, last = next(p for p in self.progress if p.step >= WARM_UP_STEPS), self.progress[-1]
        if self.finished is None or self.finished.outcome is not Outcome.SUCCEEDED or any(last.restarts.values()):
            raise RuntimeError(f"training did not go through undisturbed: {self.finished}")
        seconds = last.measurements.step_seconds_sum - first.measurements.step_seconds_sum
        steps = last.step - first.step
        return {RATE: (last.samples - first.samples) / seconds, "step_ms": 1e3 * seconds / steps}


def pace(data: Path, spec: JobSpec, shares: Sequence[float], *, follow: bool = True) -> Measurement:
    """Train with workers that run these shares of the time; without `follow` the plan's shares stay equal."""
    secret, prepared = new_secret(), prepare(spec, data)
    with (
        redirect_stdout(sys.stderr),
        patch.object(plans, "PATIENCE", plans.PATIENCE if follow else sys.maxsize),
        TemporaryDirectory(prefix="raydient-benchmark-") as directory,
        closing(open_cluster("local", slots=WORKERS)) as cluster,
        closing(Hub(secret, MESSAGE_LIMIT)) as network,
        closing(History(Path(directory) / HISTORY_FILE)) as history,
    ):
        watched = Watched(cluster)
        endpoint = network.listen(cluster.host, node=cluster.node)
        logs = Path(directory) / "logs"
        members = Members(watched, network, endpoint, job="straggler", secret=secret, logs=logs)
        storage = Storage(prepared, Path(directory), "straggler", history)
        with closing(Watch(watched, shares)) as watch:
            CoordinatorShell(prepared, control.Scale(WORKERS, WORKERS), members, storage, tell=watch.tell).run()
    return watch.measurement()


def main() -> None:
    options = Options.parse(__doc__, 3)
    rows, steps = LEAVES * options.size(192, 4), options.size(46, WARM_UP_STEPS + 8)
    even, uneven = [FAST] * WORKERS, [FAST, FAST, SLOW, FAST]
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        generator = np.random.default_rng(0)
        np.savez(data, x=generator.random((rows, 784), dtype=np.float32), y=generator.integers(0, 10, rows))
        spec = job(data, LEAVES, WORKERS, epochs=steps, batch=rows)
        contenders = {
            UNEVEN: partial(pace, data, spec, uneven),
            EQUAL_SHARES: partial(pace, data, spec, uneven, follow=False),
            EVEN: partial(pace, data, spec, even),
        }
        comparison = Comparison(options, contenders)
        comparison.run()
    even_rate = comparison.median(EVEN, RATE)
    # With equal shares the slow worker sets the rate. Its speed is not exactly SLOW / FAST, because signals come late.
    slow_speed = comparison.median(EQUAL_SHARES, RATE) / even_rate
    ideal = (WORKERS - 1 + slow_speed) / WORKERS
    comparison.ratio(RATE, UNEVEN, EVEN, at_least=0.75 * ideal)
    comparison.ratio(RATE, EQUAL_SHARES, EVEN)
    of_ideal = {n: rounded(comparison.median(n, RATE) / even_rate / ideal) for n in (UNEVEN, EQUAL_SHARES)}
    speed = rounded(slow_speed)
    print_document(comparison.document("straggler", speed_of_straggler=speed, share_of_ideal_rate=of_ideal))


if __name__ == "__main__":
    main()
