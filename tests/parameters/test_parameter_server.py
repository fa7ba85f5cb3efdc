"""The parameter server as an algorithm: whatever workers do and whoever is lost, the bits are those of one worker."""

from concurrent.futures import ThreadPoolExecutor
from math import isnan

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from raydient.server.parameters.optimizers import build_optimizer
from raydient.server.parameters.server import Assign, Boundary, Diverged, EpochEnd, ParameterServer, Position
from raydient.server.parameters.update import Updater
from raydient.wire.layout import Layout
from raydient.wire.schedule import RoundKind, Schedule
from raydient.wire.tree import maximal_subtrees


class Members(RuleBasedStateMachine):
    """Workers that come, go, push, repeat themselves and push nonsense; plans and snapshots at any time."""

    job = None  # set by the test

    def __init__(self):
        super().__init__()
        self.executor = ThreadPoolExecutor(1)  # never used: one thread suffices
        self.server, self.arrays = self.job.server(self.executor)
        self.workers = 0
        self.attached = {}  # worker to its nodes that are not pushed yet, as (round, node)
        self.planned = set()
        self.pushed = []  # every (round, node) that counted
        self.counted = {}  # round to the leaves that counted
        self.epochs = []
        self.waiting = 0  # snapshots asked for and not answered
        self.final = False  # a final one is asked for
        self.over = False  # and given

    # ---- what the server says

    def carry_out(self, actions):
        for action in actions:
            assert not self.over, "nothing follows the final boundary"
            match action:
                case Assign(worker, round_, first, last):
                    assert worker in self.attached
                    assert worker in self.planned
                    this = self.server.current
                    assert round_ == this.number == self.server.position.round
                    leaves = set(range(first, last))
                    assert leaves
                    assert not leaves & self.counted.get(round_, set())
                    others = [n for nodes in self.attached.values() for r, n in nodes if r == round_]
                    assert not leaves & {leaf for node in others for leaf in range(*node)}
                    self.attached[worker] += [(round_, node) for node in maximal_subtrees(first, last, this.leaves)]
                case EpochEnd():
                    self.epochs.append(action)
                case Boundary(final):
                    self.waiting = 0
                    self.over = final
                    assert self.server.current is None or not final
                    assert final == (self.final or self.server.position.round == self.job.schedule.rounds)
                case _:
                    raise AssertionError(action)

    def push(self, round_, node):
        """Push what a worker would have computed from the weights as they are."""
        gradient = self.job.gradient(self.arrays[0], round_, node)
        this = self.job.schedule.round(round_)
        refusal, actions = self.server.push(
            round_, node, gradient if this.kind is RoundKind.TRAIN else None, self.job.sums(round_, node)
        )
        if not refusal:
            self.pushed.append((round_, node))
            counted = self.counted.setdefault(round_, set())
            assert not counted & set(range(*node))
            counted.update(range(*node))
        self.carry_out(actions)
        return refusal

    # ---- what happens

    @rule()
    def attach(self):
        self.attached[self.workers] = []
        self.workers += 1

    @rule(data=st.data())
    def plan(self, data):
        workers = data.draw(st.lists(st.sampled_from(sorted(self.attached)), unique=True)) if self.attached else []
        shares = [data.draw(st.floats(0.1, 10)) for _ in workers]
        self.planned = set(workers)
        self.carry_out(self.server.plan(workers, shares))

    @precondition(lambda self: self.attached)
    @rule(data=st.data())
    def detach(self, data):
        worker = data.draw(st.sampled_from(sorted(self.attached)))
        del self.attached[worker]
        self.planned.discard(worker)
        self.carry_out(self.server.detached(worker))

    @precondition(lambda self: any(self.attached.values()))
    @rule(data=st.data())
    def finish_a_node(self, data):
        worker = data.draw(st.sampled_from([w for w, nodes in self.attached.items() if nodes]))
        round_, node = self.attached[worker].pop(0)
        helped = (round_, node) in self.pushed
        assert bool(self.push(round_, node)) == helped

    @precondition(lambda self: any(self.attached.values()))
    @rule(data=st.data())
    def help(self, data):
        """Somebody else pushes first what a worker is computing; its own push comes too late then."""
        worker = data.draw(st.sampled_from([w for w, nodes in self.attached.items() if nodes]))
        assert self.push(*self.attached[worker][-1]) in ("", "DUPLICATE", "LATE")

    @precondition(lambda self: self.pushed)
    @rule(data=st.data())
    def push_again(self, data):
        round_, node = data.draw(st.sampled_from(self.pushed[-8:]))
        this = self.server.current
        assert self.push(round_, node) == ("DUPLICATE" if this and this.number == round_ else "LATE")

    @precondition(lambda self: self.server.current is not None)
    @rule(ahead=st.integers(1, 3), node=st.tuples(st.integers(0, 7), st.integers(0, 7)))
    def push_early(self, ahead, node):
        sums = np.zeros(2)
        assert self.server.push(self.server.current.number + ahead, node, None, sums) == ("EARLY", [])

    @precondition(lambda self: self.server.current is not None)
    @rule(node=st.sampled_from([(0, 0), (1, 3), (3, 1), (0, 9), (5, 7), (2, 2**32 - 1)]))
    def push_what_is_no_node(self, node):
        number = self.server.current.number
        if node not in maximal_subtrees(*node, self.server.current.leaves):
            assert self.server.push(number, node, None, np.zeros(2)) == ("DUPLICATE", [])

    @rule()
    def snapshot(self):
        if not self.over:
            self.waiting += 1
        self.carry_out(self.server.snapshot(final=False))

    @rule(really=st.sampled_from([False, False, False, True]))
    def stop(self, really):
        """Stop with a snapshot, and go on from it with a new server."""
        if really and not self.over:
            self.final = True
            self.waiting += 1
            self.carry_out(self.server.snapshot(final=True))

    @precondition(lambda self: self.over and self.server.position.round < self.job.schedule.rounds)
    @rule()
    def go_on(self):
        position = self.server.position
        copy = Position(position.round, position.step, position.epoch_sums.copy())
        self.server, self.arrays = self.job.server(self.executor, copy, self.arrays)
        self.attached, self.planned, self.final, self.over = {}, set(), False, False

    # ---- what holds

    @invariant()
    def weights_and_state_are_those_of_one_worker(self):
        expected = self.job.reference[self.server.position.step]
        assert [a.tobytes() for a in self.arrays] == [a.tobytes() for a in expected]

    @invariant()
    def epochs_are_those_of_one_worker(self):
        assert self.epochs == self.job.epochs[: len(self.epochs)]

    @invariant()
    def completed_rounds_have_counted_each_leaf(self):
        for round_ in range(self.server.position.round):
            assert self.counted[round_] == set(range(self.job.schedule.round(round_).leaves))

    @invariant()
    def a_snapshot_waits_for_an_open_round_only(self):
        assert self.server.current is not None or not self.waiting

    def teardown(self):
        """With a worker there the run completes, whatever has happened."""
        if self.over and self.server.position.round < self.job.schedule.rounds:
            self.go_on()
        if not self.over:
            for worker in list(self.attached):
                del self.attached[worker]
                self.planned.discard(worker)
                self.carry_out(self.server.detached(worker))
            self.attach()
            worker = self.workers - 1
            self.planned = {worker}
            self.carry_out(self.server.plan([worker], [1.0]))
            while self.attached[worker]:
                self.push(*self.attached[worker].pop(0))
            if self.final and self.server.position.round < self.job.schedule.rounds:
                return self.teardown()  # it was stopped: once more
        assert self.over
        assert self.epochs == self.job.epochs
        self.weights_and_state_are_those_of_one_worker()
        self.completed_rounds_have_counted_each_leaf()
        return None


def test_whatever_happens_the_bits_are_those_of_one_worker(tree_job):
    Members.job = tree_job
    run_state_machine_as_test(Members, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


# ---- divergence


@pytest.fixture
def make_server(executor):
    """One step of two leaves an epoch, then one leaf of evaluation; two parameters of two values."""

    def make(rule="sgd", **options):
        choice = {"learning_rate": 1e-3, "momentum": 0.0, "nesterov": False} if rule == "sgd" else options
        optimizer, weights = build_optimizer(rule, choice), np.ones(4, np.float32)
        server = ParameterServer(
            layout=Layout.of([("near.input", (2,)), ("near.loss", (2,))]),
            schedule=Schedule(train_rows=2, test_rows=1, epochs=2, batch_size=2, microbatches=2),
            optimizer=optimizer,
            position=Position(0, 0, np.zeros(2)),
            updater=Updater(weights, [np.zeros(4, np.float32) for _ in optimizer.state], 2, 1, executor),
        )
        assert server.plan([0], [1.0]) == [Assign(0, 0, 0, 2)]
        return server, weights

    return make


def push(server, gradients, losses=(1.0, 1.0)):
    """Both leaves of the open training round; what follows."""
    number = server.current.number
    result = []
    for leaf, (gradient, loss) in enumerate(zip(gradients, losses, strict=True)):
        array = np.array(gradient, np.float32)
        refusal, actions = server.push(number, (leaf, leaf + 1), array, np.array([loss]))
        assert refusal == ""
        result += actions
    return result


ONES = [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("gradients", "parameter"),
    [
        ([[np.nan, 1, 1, 1], ONES], "near.input"),
        ([ONES, [1, 1, np.inf, 1]], "near.loss"),
        ([[np.nan, np.nan, 1, 1], [1, 1, 1, -np.inf]], "near.loss"),
        ([[3e38, 1, 1, 1], [3e38, 1, 1, 1]], "near.input"),
    ],
    ids=["nan", "infinite", "both", "the sum overflows"],
)
def test_the_parameter_nearest_to_the_loss_with_a_gradient_that_is_not_finite_is_named(
    make_server, gradients, parameter
):
    server, _ = make_server()

    assert push(server, gradients) == [Diverged(RoundKind.TRAIN, 0, 1.0, parameter, False)]
    assert server.position.step == server.position.round == 0


def test_the_division_of_the_work_has_no_say_in_divergence(make_server):
    """The same overflow, once summed by the worker and once by the server."""
    server, _ = make_server()

    refusal, actions = server.push(0, (0, 2), np.array([np.inf, 2, 2, 2], np.float32), np.array([2.0]))

    assert (refusal, actions) == ("", [Diverged(RoundKind.TRAIN, 0, 1.0, "near.input", False)])


def test_a_loss_that_is_not_finite_diverges_with_finite_gradients(make_server):
    server, _ = make_server()

    (found,) = push(server, [ONES, [1, 5, 1, 1]], losses=(np.nan, 1.0))

    assert isnan(found.loss)
    assert (found.step, found.parameter, found.finite) == (0, "near.input", True)


def test_an_evaluation_whose_loss_is_not_finite_diverges(make_server):
    server, _ = make_server()
    assert push(server, [ONES, ONES]) == [Assign(0, 1, 0, 1)]

    assert server.push(1, (0, 1), None, np.array([np.inf])) == (
        "", [Diverged(RoundKind.EVALUATE, 1, np.inf, "", True)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "options"), [("sgd", {}), ("adam", {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.9, "epsilon": 1e-7})]
)
def test_a_huge_gradient_whose_square_overflows_goes_on(make_server, rule, options):
    server, weights = make_server(rule, **options)

    assert push(server, [[1e25, 1, 1, 1], ONES]) == [Assign(0, 1, 0, 1)]
    assert server.position.step == 1
    assert np.isfinite(weights).all()


def test_nothing_follows_divergence(make_server):
    """Above all no snapshot: the update may be half made."""
    server, _ = make_server()
    assert server.snapshot(final=False) == []
    push(server, [[np.nan] * 4, ONES])

    assert server.snapshot(final=False) == server.snapshot(final=True) == []
    assert server.plan([0, 1], [1.0, 1.0]) == server.detached(0) == []
    assert server.push(0, (0, 1), np.ones(4, np.float32), np.ones(1)) == ("LATE", [])
    assert server.current is None


# ---- snapshots and the end


def test_a_snapshot_is_taken_between_rounds_and_once(make_server):
    server, _ = make_server()
    assert server.snapshot(final=False) == []
    assert server.snapshot(final=False) == []

    assert push(server, [ONES, ONES]) == [Boundary(False), Assign(0, 1, 0, 1)]


def test_a_final_snapshot_that_follows_another_is_not_given_early(make_server):
    server, _ = make_server()
    assert server.snapshot(final=True) == server.snapshot(final=False) == []

    assert push(server, [ONES, ONES]) == [Boundary(True)]
    assert server.snapshot(final=True) == []


def test_a_final_snapshot_waits_for_whoever_computes_the_rest(make_server):
    """All workers die while the last round is open: a new one finishes it."""
    server, _ = make_server()
    server.snapshot(final=True)
    assert server.detached(0) == []

    assert server.plan([1], [1.0]) == [Assign(1, 0, 0, 2)]
    assert push(server, [ONES, ONES]) == [Boundary(True)]


def test_a_job_that_is_complete_when_it_is_resumed_ends_at_once(executor, tree_job):
    position = Position(tree_job.schedule.rounds, tree_job.schedule.steps, np.zeros(3))
    server, _ = tree_job.server(executor, position, tree_job.reference[-1])

    assert server.plan([0], [1.0]) == [Boundary(True)]
    assert server.plan([0, 1], [1.0, 1.0]) == []


def test_there_is_no_loss_before_the_first_step(make_server):
    server, _ = make_server()
    assert isnan(server.last_loss)

    push(server, [ONES, ONES], losses=(3.0, 1.0))

    assert server.last_loss == 2.0
