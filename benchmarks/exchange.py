"""The bare exchange of a step, two workers and SGD applied, against gloo's allreduce of the same vector.

A real parameter server on the local cluster, workers that push a constant gradient over real channels as soon as they
have new weights; no network, no data. Over shared memory, and for information over TCP.
"""

import multiprocessing
import statistics
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from comparison import Comparison, Measurement, Options, Peer, own_session, print_document, run_peer

from raydient.server.clusters.local import LocalCluster
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule
from raydient.wire import control
from raydient.wire.channel import attach
from raydient.wire.connection import Connection
from raydient.wire.endpoint import Endpoint, Transport, dial
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Hub
from raydient.wire.launch import Launch, to_json
from raydient.wire.memory import Bundle
from raydient.wire.network import Closed

WORKERS = 2
SUMS = 2
GENERATION = 0
WARM_UP_STEPS = 5
CASES = {1_000: (400, 1 / 6), 669_706: (100, 1 / 3), 25_000_000: (10, 1 / 2)}
"""By values of the vector: steps that are timed, and the share of gloo's time that is allowed."""
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Task:
    """Size, number and transport of the exchanges."""

    values: int
    steps: int
    transport: Transport


def push_gradients(worker: int, endpoint: Endpoint, secret: bytes, task: Task, answers: Any) -> None:
    """A worker without a network; answers with its mean seconds per step."""
    own_session()
    with closing(attach([dial(endpoint, secret, task.transport)], worker, GENERATION)) as channel:
        channel.slot(0).vector[:] = 1e-3
        sums, nothing = np.zeros(SUMS), (0.0, 0.0, 0.0, 0.0)
        began = ended = 0.0
        while (assignment := channel.wait()) is not None:
            now = time.perf_counter()
            began = now if assignment.round == WARM_UP_STEPS else began
            ended = now if assignment.round == WARM_UP_STEPS + task.steps else ended
            channel.push(assignment.round, (assignment.first, assignment.last), 0, sums, nothing)
    answers.put((ended - began) / task.steps)


class Exchange:
    """A coordinator that knows just enough to have one parameter server serve so many steps."""

    def __init__(self, task: Task) -> None:
        self._task = task
        # One more step than is timed: the last one ends in a snapshot, not in an assignment.
        rounds = WARM_UP_STEPS + task.steps + 1
        self._schedule = Schedule(rounds * WORKERS, 0, epochs=1, batch_size=WORKERS, microbatches=WORKERS)
        self._secret = new_secret()
        self._context = multiprocessing.get_context("spawn")
        self._answers = self._context.SimpleQueue()
        self._workers: list[Any] = []
        self._attached: list[int] = []

    def seconds_per_step(self) -> float:
        with (
            TemporaryDirectory(prefix="raydient-benchmark-") as directory,
            closing(LocalCluster(WORKERS)) as cluster,
            closing(Hub(self._secret, 1 << 40)) as hub,
        ):
            launch = Launch("exchange", WORKERS, GENERATION, hub.listen(cluster.host), self._secret.hex())
            server = cluster.start(control.Role.PARAMETER_SERVER, to_json(launch), Path(directory) / "log")
            complete = False
            while not complete:
                assert server.ended() is None, f"the parameter server {server.ended()}"
                for connection, frame in hub.poll(POLL_SECONDS):
                    if not isinstance(frame, Closed):
                        complete |= self._handle(connection, control.decode(frame).message)
            seconds = [self._answers.get() for _ in self._workers]
        for worker in self._workers:
            worker.join()
        return float(statistics.mean(seconds))

    def _handle(self, connection: Connection, message: control.Message) -> bool:
        """React to the parameter server; true when it has served all steps."""
        match message:
            case control.Hello(data_plane=endpoint):
                self._serve(connection)
                for worker in range(WORKERS):
                    arguments = (worker, endpoint, self._secret, self._task, self._answers)
                    self._workers.append(self._context.Process(target=push_gradients, args=arguments, daemon=True))
                    self._workers[-1].start()
            case control.Attached(worker=worker):
                self._attached.append(worker)
                if len(self._attached) == WORKERS:
                    control.send(connection, control.Plan(1, self._attached, [1.0] * WORKERS))
            case control.Snapshot():
                return True
        return False

    def _serve(self, connection: Connection) -> None:
        serve = control.Serve(
            layout=Layout.of([("vector", (self._task.values,))]),
            optimizer="sgd",
            settings={"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
            layers=[("vector", 0)],
            schedule=self._schedule,
            sums=SUMS,
            round=0,
            step=0,
            epoch_sums=(),
            ranges=[(0, self._task.values)],
        )
        control.send(connection, serve, Bundle.of({"weights": np.ones(self._task.values, np.float32)}))


def name_of(values: int) -> str:
    return f"ms_{values}_values"


def ours(transport: Transport, steps: Mapping[int, int]) -> Measurement:
    """Milliseconds of a step; `steps` are timed, by values of the vector."""
    return {
        name_of(values): 1e3 * Exchange(Task(values, number, transport)).seconds_per_step()
        for values, number in steps.items()
    }


def gloo() -> Measurement:
    measured = run_peer("gloo_allreduce.py", "--workers", WORKERS, "--values", *CASES)
    return {name_of(m["values"]): m["ms_per_step"] for m in measured}


def main() -> None:
    options = Options.parse(__doc__, 5)
    steps = {values: options.size(number, 1) for values, (number, _) in CASES.items()}
    memory, tcp, peer = "raydient, shared memory", "raydient, TCP", "gloo allreduce"
    comparison = Comparison(
        options,
        {
            memory: partial(ours, Transport.SHARED_MEMORY, steps),
            peer: Peer(gloo),
            tcp: partial(ours, Transport.TCP, steps),
        },
    )
    comparison.run()
    for values, (_, share) in CASES.items():
        comparison.ratio(name_of(values), memory, peer, at_most=share)
    for values in CASES:
        comparison.ratio(name_of(values), tcp, peer)
    print_document(comparison.document("exchange", megabytes={name_of(v): v * 4 / 1e6 for v in CASES}))


if __name__ == "__main__":
    main()
