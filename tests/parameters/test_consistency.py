"""Bounded staleness and asynchronous training: each batch counts once, within the bound, and a record has the bits."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from raydient.server.parameters.actions import Assign, Boundary, EpochEnd
from raydient.server.parameters.consistency import policy_of
from raydient.server.parameters.position import Position
from raydient.spec.consistency import SYNCHRONOUS, Asynchronous, BoundedStaleness, Consistency
from raydient.steps.schedule import RoundKind
from raydient.steps.tree import maximal_subtrees

from .conftest import SUMS, Job, dense, make_rule

ASYNCHRONOUS = Consistency(asynchronous=Asynchronous())
MODELS = [
    *(Consistency(bounded_staleness=BoundedStaleness(limit=limit)) for limit in (1, 2, 4, 100)),
    ASYNCHRONOUS,
    Consistency(bounded_staleness=BoundedStaleness(limit=3, damping=True)),
    Consistency(asynchronous=Asynchronous(damping=True)),
]


class Run:
    """A job with workers that are fast, slow and lost, plans, snapshots and new servers, all drawn from a seed."""

    def __init__(self, job, consistency, seed, executor, *, slots=7, faults=True, workers=3):
        self.job, self.consistency, self.executor, self.slots = job, consistency, executor, slots
        self.random, self.faults, self.workers = random.Random(seed), faults, workers
        self.arrivals, self.epochs, self.over, self.attached = [], [], False, 0
        self.durable = [], []  # arrivals and epochs up to the last snapshot
        self.begin(None, None)

    def begin(self, position, arrays):
        self.server, self.arrays = self.job.server(
            self.executor,
            position,
            arrays,
            consistency=self.consistency,
            policies=lambda consistency, watched: policy_of(consistency, self.slots, watched),
            damps=self.consistency.damps,
        )
        self.owed, self.unread = (
            {},
            {},
        )  # by worker: (round, node) with its weights; pushes whose rounds are not applied
        self.saved = None
        self.plans = 0
        for _ in range(self.workers):
            self.attach()
        self.plan()

    def attach(self):
        self.server.attached(self.attached)
        self.owed[self.attached] = []
        self.unread[self.attached] = set()
        self.attached += 1

    def plan(self):
        self.plans += 1
        least = 1 if self.faults else len(self.owed)
        workers = self.random.sample(sorted(self.owed), self.random.randint(least, len(self.owed)))
        self.carry_out(self.server.plan(self.plans, workers, [self.random.uniform(0.1, 1) for _ in workers]))

    def carry_out(self, actions):
        for action in actions:
            match action:
                case Assign(worker, number, first, last, kept):
                    assert not self.owed[worker] or self.job.schedule.round(number).kind is RoundKind.EVALUATE
                    nodes = maximal_subtrees(first, last, self.job.schedule.round(number).leaves)
                    weights = self.arrays[0].copy()
                    self.owed[worker] += [((number, node), weights, self.server.position.step) for node in nodes]
                    freed = {one for one in self.unread[worker] if one[0] < number - kept}
                    assert not any(self.server.open_round(of) for of, _ in freed), "a gradient that is not applied"
                    self.unread[worker] -= freed
                    assert len(self.unread[worker]) + 1 <= self.slots
                case EpochEnd():
                    self.epochs.append(action)
                case Boundary(final):
                    self.save()
                    self.over |= final

    def save(self):
        position = self.server.position
        self.arrivals += position.arrivals
        position.arrivals.clear()
        self.durable = [*self.arrivals], [*self.epochs]
        self.saved = (
            Position(
                position.round,
                position.step,
                position.epoch_sums.copy(),
                outstanding=[*position.outstanding],
            ),
            [array.copy() for array in self.arrays],
        )

    def push(self):
        """One worker pushes its next node, computed on the weights of its assignment."""
        worker = self.random.choice([worker for worker, nodes in self.owed.items() if nodes])
        (number, node), weights, version = self.owed[worker].pop(0)
        trains = self.job.schedule.round(number).kind is RoundKind.TRAIN
        if trains:
            assert self.consistency.limit is None or self.server.position.step - version <= self.consistency.limit
            self.unread[worker].add((number, node))
        gradient = dense(self.job.gradient(weights, number, node)) if trains else None
        refusal, actions = self.server.push(number, node, gradient, self.job.sums(number, node))
        assert not refusal
        self.carry_out(actions)

    def play(self):
        for _ in range(2000):
            if self.over:
                return
            chance = self.random.random() if self.faults else 1.0
            if chance < 0.02 and len(self.owed) > 1:
                worker = self.random.choice(sorted(self.owed))
                del self.owed[worker]
                self.carry_out(self.server.detached(worker))
            elif chance < 0.04:
                self.attach()
            elif chance < 0.08:
                self.plan()
            elif chance < 0.12:
                self.carry_out(self.server.snapshot())
            elif chance < 0.16 and self.saved is not None:
                self.arrivals, self.epochs = [*self.durable[0]], [*self.durable[1]]
                self.begin(*self.saved)
            elif any(self.owed.values()):
                self.push()
            else:
                self.plan()
        raise AssertionError("no end")


def replayed(job, consistency, arrivals):
    """Return weights and state after the updates of a record, by the definition: leaf by leaf, over whole vectors."""
    rule = make_rule(*job.optimizer)
    weights, state = job.start.copy(), [np.zeros_like(job.start) for _ in rule.optimizer.state]
    versions, waiting = [weights.copy()], {}
    for number, first, last, version in arrivals:
        step, leaves = len(versions) - 1, waiting.setdefault(number, {})
        assert version <= step
        leaves.update(dict.fromkeys(range(first, last), version))
        round_ = job.schedule.round(number)
        if len(leaves) < round_.leaves:
            continue
        parts = {leaf: job.leaf_gradient(versions[at], number, leaf) for leaf, at in leaves.items()}
        gradient = job.total((0, round_.leaves), parts.__getitem__)
        damping = 1 / (1 + max(step - at for at in leaves.values())) if consistency.damps else 1.0
        scratch = [np.empty_like(weights) for _ in range(2)]
        rule.optimizer.update(step, weights, gradient, state, scratch, rate=rule.learning_rate(step) * damping)
        versions.append(weights.copy())
        del waiting[number]
    assert not waiting
    return [weights, *state]


@pytest.fixture(scope="module")
def job():
    """A job of nine steps an epoch, the last of them of three leaves."""
    return Job(train_rows=59)


@pytest.fixture(scope="module")
def executor():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("consistency", MODELS, ids=lambda model: str(model.canonical()))
def test_every_leaf_counts_once_and_the_record_gives_the_bits(job, executor, consistency, seed):
    run = Run(job, consistency, seed, executor, slots=(7, 14, 3)[seed % 3])
    run.play()
    leaves = [(number, leaf) for number, first, last, _ in run.arrivals for leaf in range(first, last)]
    schedule = job.schedule
    trained = [round_ for round_ in map(schedule.round, range(schedule.rounds)) if round_.kind is RoundKind.TRAIN]
    assert sorted(leaves) == [(round_.number, leaf) for round_ in trained for leaf in range(round_.leaves)]
    expected = replayed(job, consistency, run.arrivals)
    assert [array.tobytes() for array in run.arrays] == [array.tobytes() for array in expected]
    for end, whole in zip(run.epochs, job.epochs, strict=True):
        assert (end.epoch, end.step) == (whole.epoch, whole.step)
        np.testing.assert_allclose(end.train, whole.train)  # sums of the same rows, added in another order
        assert end.test == whole.test


@pytest.mark.parametrize("consistency", MODELS, ids=lambda model: str(model.canonical()))
def test_one_worker_has_the_bits_of_a_synchronous_job(job, executor, consistency):
    run = Run(job, consistency, 0, executor, faults=False, workers=1)
    run.play()
    synchronous = job.reference[-1]
    assert [array.tobytes() for array in run.arrays] == [array.tobytes() for array in synchronous]
    assert not any(run.server.position.staleness.elements())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("consistency", [MODELS[2], ASYNCHRONOUS], ids=["bounded", "asynchronous"])
def test_without_a_held_out_part_an_epoch_has_its_own_rows(executor, consistency, seed):
    job = Job(train_rows=59, test_rows=0)
    run = Run(job, consistency, seed, executor)
    run.play()
    assert [end.train[0] for end in run.epochs] == [59, 59]


@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_stale_and_a_bound_makes_them_less_so(job, executor, seed):
    most = {}
    for limit in (1, 4):
        run = Run(job, MODELS[0 if limit == 1 else 2], seed, executor, faults=False)
        run.play()
        most[limit] = max(run.server.position.staleness)
    assert most[1] == 1 < most[4] <= 4, "three workers"


def test_without_a_bound_the_slowest_worker_may_lag_by_a_whole_epoch(job, executor):
    run = Run(job, ASYNCHRONOUS, 0, executor, faults=False, workers=2)
    slow, fast = sorted((0, 1), key=lambda worker: run.owed[worker][0][0])
    ((number, node), weights, version) = run.owed[slow].pop()
    while run.owed[fast]:
        (other, whole), at, _ = run.owed[fast].pop()
        _, actions = run.server.push(other, whole, dense(job.gradient(at, other, whole)), np.zeros(SUMS))
        run.carry_out(actions)
    assert run.server.position.outstanding == [number], "the epoch waits for its last batch"
    assert run.server.position.step == job.schedule.steps_per_epoch - 1
    _, actions = run.server.push(number, node, dense(job.gradient(weights, number, node)), np.zeros(SUMS))
    run.carry_out(actions)
    assert max(run.server.position.staleness) == job.schedule.steps_per_epoch - 1 - version
    assert run.server.current.kind is RoundKind.EVALUATE


def test_synchronous_is_the_default(job, executor):
    server, _ = job.server(executor, consistency=SYNCHRONOUS)
    assert not server.is_stale
