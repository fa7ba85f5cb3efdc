"""A job without a network, whose gradients depend on weights, round and leaf, and the results that it must have."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from raydient.server.parameters import blocks
from raydient.server.parameters.actions import EpochEnd
from raydient.server.parameters.blocks import Blocks
from raydient.server.parameters.conductor import Conductor
from raydient.server.parameters.health import LayerSums, PieceMeter, measured_pieces
from raydient.server.parameters.position import Position
from raydient.server.parameters.requests import Request
from raydient.server.parameters.rule import build_rule
from raydient.server.parameters.shard import Shard
from raydient.server.parameters.shell import CONTROL_LIMIT, ParameterServerShell
from raydient.server.parameters.update import Updater
from raydient.server.parameters.weights import Weights
from raydient.spec.training import Training
from raydient.steps.gradient import Gradient, GradientLayout
from raydient.steps.layout import Layout
from raydient.steps.schedule import RoundKind, Schedule
from raydient.steps.tree import children, maximal_subtrees
from raydient.wire import control
from raydient.wire.channel import attach
from raydient.wire.endpoint import Transport, dial
from raydient.wire.hub import Hub
from raydient.wire.launch import Launch
from raydient.wire.memory import Bundle
from raydient.wire.network import Closed

SETTINGS = {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
SUMS = 2
LAYERS = [("first", 0), ("last", 0)]
SECRET = b"s" * 32
GENERATION = 4
SECONDS = (0.0625, 0.25, 0.5, 0.0, 0.125)


def dense(values, units=0):
    """Return a gradient without tables; the last `units` values are the counts of active units."""
    buffer = np.asarray(values, np.float32)
    return Gradient(GradientLayout(len(buffer) - units, units), buffer)


class Job:
    """Seven leaves a step, three in an epoch's last one, two in its evaluation; two epochs, eight rounds, Adam.

    `reference` holds weights and state before each step, `epochs` the epochs' ends, of a run on one worker, computed by
    the definition: leaf by leaf along the tree, over the whole vector at once.
    """

    shapes = (("first.kernel", (2, 2)), ("first.bias", (2,)), ("last.kernel", (3,)))

    def __init__(self, train_rows=17, test_rows=300):
        self.schedule = Schedule(train_rows=train_rows, test_rows=test_rows, epochs=2, batch_size=7, microbatches=7)
        self.layout = Layout.of(self.shapes)
        self.optimizer = ("adam", SETTINGS)
        self.start = np.linspace(-1, 1, self.layout.size, dtype=np.float32)
        self.reference, self.epochs = [], []
        self._run()

    def leaf_gradient(self, weights, round_, leaf):
        rng = np.random.default_rng((round_, leaf))
        return rng.normal(size=len(weights)).astype(np.float32) + weights * np.float32(0.1)

    def leaf_sums(self, round_, leaf):
        return np.random.default_rng((99, round_, leaf)).random(SUMS)

    def gradient(self, weights, round_, node):
        """Return the gradient of a node, summed along the tree."""
        return self.total(node, lambda leaf: self.leaf_gradient(weights, round_, leaf))

    def sums(self, round_, node):
        return self.total(node, lambda leaf: self.leaf_sums(round_, leaf))

    def total(self, node, of_leaf):
        """Return the sum of a function of leaves over a node, added along the tree."""
        if node[1] - node[0] == 1:
            return of_leaf(node[0])
        left, right = children(node)
        return self.total(left, of_leaf) + self.total(right, of_leaf)

    def _run(self):
        rule = make_rule(*self.optimizer)
        weights, state = self.start.copy(), [np.zeros_like(self.start) for _ in rule.optimizer.state]
        train = np.zeros(1 + SUMS)
        for number in range(self.schedule.rounds):
            round_ = self.schedule.round(number)
            sums = self.sums(number, (0, round_.leaves))
            if round_.kind is RoundKind.TRAIN:
                self.reference.append([weights.copy(), *(s.copy() for s in state)])
                gradient = self.gradient(weights, number, (0, round_.leaves))
                rule.update(round_.step, weights, gradient, state, [np.empty_like(weights) for _ in range(2)])
                train += [round_.stop - round_.start, *sums]
            else:
                self.epochs.append(EpochEnd(round_.epoch, round_.step, tuple(train), (float(round_.stop), *sums)))
                train[:] = 0
        self.reference.append([weights, *state])

    def server(self, executor, position=None, arrays=None, ranks=(), **options):
        """Return a conductor at the beginning, or at the position of a snapshot, and its weights and state."""
        rule = replace(make_rule(*self.optimizer), damps=options.pop("damps", False))
        arrays = arrays or self.reference[0]
        arrays = [array.copy() for array in arrays]
        updater = make_updater(arrays[0], arrays[1:], rule, (7).bit_length(), 1, executor)
        position = position or Position(0, 0, np.zeros(1 + SUMS))
        return Server(self.schedule, position, self.layout, LAYERS, rule, updater, ranks=ranks, **options), arrays


class Server:
    """A conductor and its only shard, which carries out requests at once; `push` takes gradients."""

    def __init__(self, schedule, position, layout, layers, rule, updater, **options):
        self._conductor = Conductor(schedule, position, rule, LayerSums(layout, layers), **options)
        self._shard = Shard(layout, updater, PieceMeter(measured_pieces(layout)))
        for name in ("plan", "detached", "hold", "snapshot", "pause"):
            setattr(self, name, self._answering(getattr(self._conductor, name)))

    def __getattr__(self, name):
        return getattr(self._conductor, name)

    def push(self, *arguments):
        refusal, actions = self._conductor.push(*arguments)
        return refusal, self._answered(actions)

    def _answering(self, method):
        return lambda *arguments, **options: self._answered(method(*arguments, **options))

    def _answered(self, actions):
        result = []
        for action in actions:
            if isinstance(action, Request):
                result += self._answered(self._conductor.answered(0, self._shard.answer(action)))
            else:
                result.append(action)
        return result


class LayerMeter(PieceMeter):
    """A meter of a whole vector; `layers` as in `LayerSums`."""

    def __init__(self, layout, layers):
        super().__init__(measured_pieces(layout))
        self._sums = LayerSums(layout, layers)

    def health(self, step, active, *, updated):
        return self._sums.health(step, self.read(), active, updated=updated)


def make_rule(kind, settings, **training):
    """Return the rule of an optimizer with settings, and of further fields of a training."""
    return build_rule(Training.model_validate({"optimizer": {kind: settings}, **training}))


def begin(rule, layout):
    """Return the arrays of the state of a rule before the first step, for weights with a layout."""
    size = layout.size if rule.rowwise is None else layout.by_rows().size
    return [np.full(size, value, np.float32) for value in rule.optimizer.state.values()]


def make_updater(
    weights, state, rule, depth, threads, executor, *, parameters=(), tables=(), bounds=(), average=None, **options
):
    """Return an updater of these arrays, with pieces between `bounds`, by default as long as a block."""
    edges = {edge for table in tables for edge in (table.offset, table.stop)}
    bounds = bounds or sorted({0, len(weights), *edges, *range(0, len(weights), blocks.BLOCK)})
    divided = Blocks(bounds, depth, threads, executor)
    return Updater(Weights(weights, state, rule, parameters, average), divided, tables=tables, **options)


@pytest.fixture(scope="session")
def tree_job():
    return Job()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4, thread_name_prefix="update") as pool:
        yield pool


class Coordinator:
    """The coordinator of a parameter server in a thread, played by the test message by message."""

    def __init__(self, job, pool, clock=time.monotonic):
        self.job = job
        self.hub = Hub(SECRET, 1 << 24)
        self.heard = []
        self.workers = []
        self.connection = None
        launch = Launch("job", 0, self.hub.listen("127.0.0.1"), SECRET.hex())
        self.serving = pool.submit(self._run_server, launch, clock)

    def _run_server(self, launch, clock):
        with closing(Hub(SECRET, CONTROL_LIMIT, clock)) as network:
            ParameterServerShell(launch, network, "127.0.0.1").run()

    def expect(self, kind):
        """Return the next message of a kind and its arrays; messages of other kinds before it are kept in `heard`."""
        while True:
            for connection, frame in self.hub.poll(0.2):
                assert not isinstance(frame, Closed), "the parameter server is gone"
                self.connection = connection
                self.heard.append(control.decode(frame))
                message = self.heard[-1].message
                if isinstance(message, control.Snapshot) and message.final:
                    self.tell(control.Stop())
            for index, received in enumerate(self.heard):
                if isinstance(received.message, kind):
                    return self.heard.pop(index)
            if self.serving.done():
                self.serving.result()

    def tell(self, message, arrays=None):
        self.hub.send(self.connection, message, Bundle.of(arrays) if arrays is not None else None)

    def serve(self, **parts):
        """Send the job, from its beginning or from a snapshot, and return the server's Hello."""
        hello, _ = self.expect(control.Hello)
        kind, settings = self.job.optimizer
        training = Training.model_validate({"optimizer": {kind: settings}}).canonical()
        fields = {
            "generation": GENERATION, "layout": self.job.layout, "layers": LAYERS, "training": training,
            "schedule": self.job.schedule, "sums": 2, "round": 0, "step": 0, "epoch_sums": [],
            "arrays": {"weights": self.job.start}, **parts,
        }  # fmt: skip
        fields["ranges"] = [(0, fields["layout"].size)]
        arrays = fields.pop("arrays")
        self.tell(control.Serve(**fields), arrays)
        self.data_plane = hello.data_plane
        return hello

    def attach(self, number, transport, generation=GENERATION):
        """Attach a worker and return its channel."""
        connection = dial(self.data_plane, SECRET, transport)
        self.workers.append(connection)
        channel = attach([connection], number, generation)
        assert self.expect(control.Attached).message.worker == number
        return channel

    def plan(self, *workers):
        self.tell(control.Plan(1, workers, [1.0] * len(workers)))

    def settle(self):
        """Wait until the server has read all earlier messages: a handshake takes more than one round of its loop."""
        dial(self.data_plane, SECRET, Transport.TCP).close()

    def close(self):
        """Close all connections; the server's thread ends because that to its coordinator does."""
        for connection in self.workers:
            connection.close()
        self.hub.close()

    def compute(self, channel, assignment):
        """Compute and push an assignment. A node takes the slot of its first leaf, so no slot is used twice."""
        round_ = self.job.schedule.round(assignment.round)
        for node in maximal_subtrees(assignment.first, assignment.last, round_.leaves):
            trains, slot = round_.kind is RoundKind.TRAIN, node[0]
            if trains:
                channel.slot(slot).vector[:] = self.job.gradient(channel.weights, round_.number, node)
            channel.push(round_.number, node, slot if trains else None, self.job.sums(round_.number, node), SECONDS)

    def work(self, channel):
        """Compute assignments until the server stops the worker."""
        while (assignment := channel.wait()) is not None:
            self.compute(channel, assignment)

    def working(self, pool, work, *arguments):
        """Run a worker by a pool; its failure closes the connections, so that nothing waits for it."""
        working = pool.submit(work, *arguments)
        working.add_done_callback(lambda done: self.close() if done.exception() else None)
        return working

    def assert_completes(self, *channels):
        """Assert that these workers, which a plan names, complete the job with the bits of one worker."""
        with ThreadPoolExecutor(len(channels)) as pool:
            working = [pool.submit(self.work, channel) for channel in channels]
            try:
                final, arrays = self.expect(control.Snapshot)
            except BaseException:
                self.close()  # ends the workers, for which the pool waits
                raise
            for one in working:
                one.result(20)
        assert (final.round, final.step, final.final) == (self.job.schedule.rounds, self.job.schedule.steps, True)
        self.assert_at(arrays, final.step)

    def assert_at(self, arrays, step):
        """Assert that weights and optimizer state are those before a step."""
        names = ("weights", "first_moment", "second_moment")
        for name, expected in zip(names, self.job.reference[step], strict=True):
            np.testing.assert_array_equal(arrays[name], expected, name)


@pytest.fixture
def start_server(tree_job):
    """Return a function that starts a parameter server in a thread and returns its coordinator."""
    with ThreadPoolExecutor(4, thread_name_prefix="serving") as pool:
        started = []

        def start(**options):
            started.append(Coordinator(tree_job, pool, **options))
            return started[-1]

        yield start
        for coordinator in started:
            coordinator.close()
        for coordinator in started:
            coordinator.serving.exception(20)


@pytest.fixture
def coordinator(start_server):
    coordinator = start_server()
    coordinator.serve()
    return coordinator


@pytest.fixture(params=[Transport.SHARED_MEMORY, Transport.TCP])
def transport(request):
    return request.param
