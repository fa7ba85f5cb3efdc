"""Workers that join and die, and parameter servers that die, while a job trains: the time until it goes on.

One job with two workers, 784-128-128-10 on random data, on plain processes and on a Ray. A third worker joins and
leaves, twenty times; then a worker is killed with SIGKILL, twenty times. The parameter server's own histogram of step
times gives the longest step of each event, as the upper edge of its bucket. Then the same job runs with two parameter
servers, one of which is killed with SIGKILL, twenty times. Times from an order on end with a report of progress, which
comes every 0.2 seconds at the most: they are that much too long.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from comparison import Options, machine, print_document, rounded
from workload import job, write_data

from raydient.server.clusters.opening import open_cluster
from raydient.server.training.history import HISTORY_FILE, History
from raydient.server.training.members import Members
from raydient.server.training.preparation import prepare
from raydient.server.training.reports import Notice, Progress, Report, Started
from raydient.server.training.shell import MESSAGE_LIMIT, CoordinatorShell
from raydient.server.training.storage import Storage
from raydient.spec.job import JobSpec
from raydient.steps.measurements import STEP_SECONDS_BUCKETS
from raydient.wire import control
from raydient.wire.control import Role
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Hub

SETTLE_SECONDS = 0.5
"""Between two events, for steps as usual."""
NARROW = [{"dense": {"units": 128, "activation": "relu"}}, {"dense": {"units": 128, "activation": "relu"}}]


class Watched:
    """A cluster that remembers the processes it started, by role."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.started: dict[Role, list[Any]] = {role: [] for role in Role}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def start(self, role: Role, message: str, log: Path, **options: Any) -> Any:
        process = self._cluster.start(role, message, log, **options)
        self.started[role].append(process)
        return process

    def kill_one(self, role: Role) -> None:
        """Kill the youngest process of a role with SIGKILL."""
        os.kill(next(p for p in reversed(self.started[role]) if p.ended() is None).pid, signal.SIGKILL)


class Scenario:
    """Receives the reports of the job and brings about the next event; its generator waits for one report at a time."""

    def __init__(self, cluster: Watched, rounds: int, servers: int) -> None:
        self.orders: list[control.RunOrder] = []
        self.joins: list[dict[str, float]] = []
        self.deaths: list[dict[str, float]] = []
        self.server_deaths: list[dict[str, float]] = []
        self._cluster, self._rounds = cluster, rounds
        self._script = self._play() if servers == 1 else self._play_server_deaths()
        next(self._script)

    def hear(self, report: Report) -> None:
        try:
            self._script.send(report)
        except StopIteration:
            self.orders.append(control.Command(control.Order.CANCEL))

    def _play(self) -> "Iterator[Any]":
        progress = yield from self._steps(50)
        for number in range(self._rounds):
            before, began = progress, time.monotonic()
            self.orders.append(control.Scale(3, 1))
            yield from self._notice("WORKER_JOINED")
            progress = yield from self._steps(2)
            self.joins.append(
                {"first_gradient_s": time.monotonic() - began, "longest_step_s": longest(before, progress)}
            )
            self.orders.append(control.Scale(2, 1))
            yield from self._notice("WORKER_LEFT")
            progress = yield from self._settle()
            self._tell(number, "join", self.joins[-1])
        for number in range(self._rounds):
            before, began = progress, time.monotonic()
            self._cluster.kill_one(Role.WORKER)
            yield from self._notice("WORKER_LOST")
            next_step, replaced = yield from self._recovered(began)
            progress = yield from self._settle()
            longest_step = longest(before, progress)
            self.deaths.append({"next_step_s": next_step, "longest_step_s": longest_step, "replaced_s": replaced})
            self._tell(number, "death", self.deaths[-1])

    def _play_server_deaths(self) -> "Iterator[Any]":
        yield from self._steps(50)
        for number in range(self._rounds):
            began = time.monotonic()
            self._cluster.kill_one(Role.PARAMETER_SERVER)
            yield from self._notice("PARAMETER_SERVER_LOST")
            noticed = time.monotonic() - began
            while not isinstance((yield), Started):
                pass
            yield from self._steps(1)
            self.server_deaths.append({"noticed_s": noticed, "next_step_s": time.monotonic() - began})
            yield from self._settle()
            self._tell(number, "death of a server", self.server_deaths[-1])

    def _steps(self, number: int) -> "Iterator[Any]":
        """Wait for progress by so many steps."""
        first: int | None = None
        while True:
            report = yield
            if isinstance(report, Progress):
                first = report.step if first is None else first
                if report.step >= first + number:
                    return report

    def _recovered(self, began: float) -> "Iterator[Any]":
        """Wait for progress by a step and for another worker, in any order; return the seconds until each."""
        first, times = None, dict.fromkeys((Progress, Notice), 0.0)
        while not all(times.values()):
            report = yield
            if isinstance(report, Progress):
                first = report.step if first is None else first
                happened = report.step > first
            else:
                happened = isinstance(report, Notice) and report.reason == "WORKER_JOINED"
            if happened and not times[type(report)]:
                times[type(report)] = time.monotonic() - began
        return times[Progress], times[Notice]

    def _notice(self, reason: str) -> "Iterator[Any]":
        while not (isinstance(report := (yield), Notice) and report.reason == reason):
            pass

    def _settle(self) -> "Iterator[Any]":
        until = time.monotonic() + SETTLE_SECONDS
        while not (isinstance(report := (yield), Progress) and time.monotonic() >= until):
            pass
        return report

    def _tell(self, number: int, what: str, values: dict[str, float]) -> None:
        print(f"{what} {number + 1}/{self._rounds}  {json.dumps(values)}", file=sys.stderr, flush=True)


def longest(before: Progress, after: Progress) -> float:
    """The upper edge of the bucket of the longest step in between."""
    pairs = zip(before.measurements.step_seconds_buckets, after.measurements.step_seconds_buckets, strict=True)
    counts = [b - a for a, b in pairs]
    return next(
        edge for edge, count in zip((*STEP_SECONDS_BUCKETS, float("inf")), counts, strict=True) if count == counts[-1]
    )


def narrow_job(data: Path, servers: int) -> JobSpec:
    """784-128-128-10, and no end."""
    wide = job(data, 4).canonical()
    wide["resources"]["parameter_servers"] = servers
    wide["network"]["layers"] = [*NARROW, {"dense": {"units": 10}}]
    wide["training"]["epochs"] = 1_000_000
    return JobSpec.model_validate(wide)


def play(kind: str, data: Path, rounds: int, *, servers: int = 1) -> Scenario:
    secret = new_secret()
    prepared = prepare(narrow_job(data, servers), data)
    with (
        TemporaryDirectory(prefix="raydient-benchmark-") as directory,
        closing(open_cluster(kind, slots=4)) as cluster,
        closing(Hub(secret, MESSAGE_LIMIT)) as network,
        closing(History(Path(directory) / HISTORY_FILE)) as history,
    ):
        watched = Watched(cluster)
        scenario = Scenario(watched, rounds, servers)
        members = Members(
            watched,
            network,
            network.listen(cluster.host, node=cluster.node),
            job="elastic",
            secret=secret,
            logs=Path(directory) / "logs",
        )
        storage = Storage(prepared, Path(directory), "elastic", history)
        size = control.Scale(2, 2)  # both are there when training begins
        CoordinatorShell(prepared, size, members, storage, tell=scenario.hear, orders=scenario.orders).run()
    return scenario


def summary(events: list[dict[str, float]]) -> dict[str, Any]:
    """Median, and the value that 95 of 100 do not exceed: the 19th of 20."""
    quantiles = {}
    for quantity in events[0]:
        values = sorted(event[quantity] for event in events)
        last = -(-len(values) * 95 // 100) - 1
        quantiles[quantity] = {"p50": rounded(values[len(values) // 2]), "p95": rounded(values[last])}
    return quantiles


def main() -> None:
    options = Options.parse(__doc__, 20)
    results: dict[str, Any] = {}
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        write_data(data)
        kinds = {"local": 3.0} if options.smallest else {"local": 3.0, "ray": 6.0}
        for kind, first_gradient in kinds.items():
            with redirect_stdout(sys.stderr):  # Ray tells of every worker that dies
                scenario = play(kind, data, options.rounds)
                server_deaths = summary(play(kind, data, options.rounds, servers=2).server_deaths)
            joins, deaths = summary(scenario.joins), summary(scenario.deaths)
            kept = {
                "join: the others stand at most 1 s": joins["longest_step_s"]["p95"] <= 1.0,
                f"join: first gradient in {first_gradient:.0f} s": joins["first_gradient_s"]["p95"] <= first_gradient,
                "death: next step in 4 s": deaths["next_step_s"]["p95"] <= 4.0,
            }
            results[kind] = {"join": joins, "death": deaths, "death of a server": server_deaths, "kept": kept}
    print_document({"benchmark": "elastic", "machine": machine(), "events": options.rounds, **results})


if __name__ == "__main__":
    main()
