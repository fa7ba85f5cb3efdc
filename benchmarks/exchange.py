"""The bare exchange of a step, two workers and SGD applied, against gloo's allreduce of the same vector.

Real parameter servers on the local cluster, workers that push a constant gradient over real channels as soon as they
have new weights; no network, no data. Over shared memory, and for information over TCP, with one, two and four servers.
"""

import multiprocessing
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from comparison import Comparison, Measurement, Options, Peer, own_session, print_document, run_peer

from raydient.server.clusters.local import LocalCluster
from raydient.spec.training import Training
from raydient.steps.layout import Layout
from raydient.steps.ranges import pieces, ranges
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
from raydient.wire.terms import PHASES

WORKERS = 2
SUMS = 2
GENERATION = 0
WARM_UP_STEPS = 5
CASES = {1_000: (400, 1 / 6), 669_706: (100, 1 / 3), 25_000_000: (10, 1 / 2)}
"""By values of the vector: steps that are timed, and the share of gloo's time that is allowed."""
SERVERS = (2, 4)
"""Numbers of parameter servers besides one, for vectors that have pieces for so many."""
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Task:
    """Size, number and transport of the exchanges, and number of parameter servers."""

    values: int
    steps: int
    transport: Transport
    servers: int = 1


def push_gradients(worker: int, endpoints: Sequence[Endpoint], secret: bytes, task: Task, answers: Any) -> None:
    """A worker without a network; answers with its mean seconds per step."""
    own_session()
    dialled = endpoints[:1] if task.transport is Transport.SHARED_MEMORY else endpoints
    with closing(attach([dial(each, secret, task.transport) for each in dialled], worker, GENERATION)) as channel:
        channel.slot(0).vector[:] = 1e-3
        sums, nothing = np.zeros(SUMS), (0.0,) * len(PHASES)
        began = ended = 0.0
        while (assignment := channel.wait()) is not None:
            now = time.perf_counter()
            began = now if assignment.round == WARM_UP_STEPS else began
            ended = now if assignment.round == WARM_UP_STEPS + task.steps else ended
            channel.push(assignment.round, (assignment.first, assignment.last), 0, sums, nothing)
    answers.put((ended - began) / task.steps)


class Exchange:
    """A coordinator that knows just enough to have parameter servers serve so many steps."""

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
        self._servers: dict[int, tuple[Connection, Endpoint]] = {}  # by shard

    def seconds_per_step(self) -> float:
        with (
            TemporaryDirectory(prefix="raydient-benchmark-") as directory,
            closing(LocalCluster(WORKERS)) as cluster,
            closing(Hub(self._secret, 1 << 40)) as hub,
        ):
            coordinator, transport = hub.listen(cluster.host), self._task.transport
            servers = []
            for shard in range(self._task.servers):
                launch = Launch("exchange", shard, coordinator, self._secret.hex(), transport)
                log = Path(directory) / f"{shard}.log"
                servers.append(cluster.start(control.Role.PARAMETER_SERVER, to_json(launch), log))
            complete = False
            while not complete:
                assert not any(server.ended() for server in servers), "a parameter server has ended"
                for connection, frame in hub.poll(POLL_SECONDS):
                    if not isinstance(frame, Closed):
                        complete |= self._handle(connection, control.decode(frame).message)
            seconds = [self._answers.get() for _ in self._workers]
        for worker in self._workers:
            worker.join()
        return float(statistics.mean(seconds))

    def _handle(self, connection: Connection, message: control.Message) -> bool:
        """React to the parameter servers; true when they have served all steps."""
        match message:
            case control.Hello(member=shard, data_plane=endpoint) if endpoint is not None:
                self._servers[shard] = connection, endpoint
                if len(self._servers) == self._task.servers:
                    self._begin()
            case control.Attached(worker=worker):
                self._attached.append(worker)
                if len(self._attached) == WORKERS:
                    control.send(connection, control.Plan(1, self._attached, [1.0] * WORKERS))
            case control.Snapshot():
                control.send(connection, control.Stop())
                return True
        return False

    def _begin(self) -> None:
        endpoints = [self._servers[shard][1] for shard in range(self._task.servers)]
        layout = Layout.of([("vector", (self._task.values,))])
        divided = ranges(layout, self._task.servers)
        for shard, (start, stop) in enumerate(divided):
            serve = control.Serve(
                generation=GENERATION,
                layout=layout,
                training=Training().canonical(),
                layers=[("vector", 0)],
                schedule=self._schedule,
                sums=SUMS,
                round=0,
                step=0,
                epoch_sums=(),
                ranges=divided,
                shard=shard,
                conductor=endpoints[0] if shard else None,
            )
            weights = Bundle.of({"weights": np.ones(stop - start, np.float32)})
            control.send(self._servers[shard][0], serve, weights)
        for worker in range(WORKERS):
            arguments = (worker, endpoints, self._secret, self._task, self._answers)
            self._workers.append(self._context.Process(target=push_gradients, args=arguments, daemon=True))
            self._workers[-1].start()


def name_of(values: int) -> str:
    return f"ms_{values}_values"


def ours(transport: Transport, servers: int, steps: Mapping[int, int]) -> Measurement:
    """Milliseconds of a step; `steps` are timed, by values of the vector."""
    return {
        name_of(values): 1e3 * Exchange(Task(values, number, transport, servers)).seconds_per_step()
        for values, number in steps.items()
        if servers < len(pieces(Layout.of([("vector", (values,))])))
    }


def gloo() -> Measurement:
    measured = run_peer("gloo_allreduce.py", "--workers", WORKERS, "--values", *CASES)
    return {name_of(m["values"]): m["ms_per_step"] for m in measured}


def main() -> None:
    options = Options.parse(__doc__, 5)
    cases = list(CASES)[: options.size(len(CASES), 2)]
    steps = {values: options.size(CASES[values][0], 1) for values in cases}
    memory, tcp, peer = "raydient, shared memory", "raydient, TCP", "gloo allreduce"
    several = {
        f"{name}, {servers} servers": partial(ours, transport, servers, steps)
        for servers in SERVERS[: options.size(len(SERVERS), 1)]
        for name, transport in ((memory, Transport.SHARED_MEMORY), (tcp, Transport.TCP))
    }
    comparison = Comparison(
        options,
        {
            memory: partial(ours, Transport.SHARED_MEMORY, 1, steps),
            peer: Peer(gloo),
            tcp: partial(ours, Transport.TCP, 1, steps),
            **several,
        },
    )
    comparison.run()
    for values in cases:
        comparison.ratio(name_of(values), memory, peer, at_most=CASES[values][1])
    for values in cases:
        comparison.ratio(name_of(values), tcp, peer)
    for contender in several:
        comparison.ratio(name_of(max(cases)), contender, contender.rpartition(", ")[0])
    print_document(comparison.document("exchange", megabytes={name_of(v): v * 4 / 1e6 for v in cases}))


if __name__ == "__main__":
    main()
