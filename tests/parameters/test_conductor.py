"""The conductor: whatever workers do and whichever are lost, the bits are those of one worker."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from raydient.server.parameters.actions import Assign, Boundary, EpochEnd, PlanInForce
from raydient.server.parameters.position import Position
from raydient.steps.schedule import RoundKind
from raydient.steps.tree import maximal_subtrees

from .conftest import dense


class Members(RuleBasedStateMachine):
    """Workers that attach, detach, push, and push twice or nonsense; plans and snapshots at any time."""

    job = None  # set by the test

    def __init__(self):
        super().__init__()
        self.executor = ThreadPoolExecutor(1)  # never used: one thread is enough
        self.server, self.arrays = self.job.server(self.executor)
        self.workers = 0
        self.attached = {}  # worker to its nodes that are not pushed yet, as (round, node)
        self.planned = set()
        self.plans = 0
        self.unconfirmed, self.open_at_plan = False, None  # see `PlanInForce`
        self.pushed = []  # every (round, node) that counted
        self.counted = {}  # round to the leaves that counted
        self.epochs = []
        self.waiting = 0  # snapshots that are requested and not taken
        self.final = False  # a final one is requested
        self.over = False  # the final one is taken
        self.held = None  # no round may be open but the one with this number, -1 for none; None if training is not held

    # ---- actions of the conductor

    def carry_out(self, actions):
        for action in actions:
            assert not self.over or isinstance(action, PlanInForce), "nothing else follows the final boundary"
            match action:
                case PlanInForce(number):
                    assert (number, self.unconfirmed) == (self.plans, True)
                    assert self.open_at_plan is None or self.server.current is not self.open_at_plan
                    self.unconfirmed = False
                case Assign(worker, round_, first, last):
                    assert worker in self.attached
                    assert worker in self.planned
                    opened = self.server.current
                    assert round_ == opened.number == self.server.position.round
                    leaves = set(range(first, last))
                    assert leaves
                    assert not leaves & self.counted.get(round_, set())
                    assigned = [n for nodes in self.attached.values() for r, n in nodes if r == round_]
                    assert not leaves & {leaf for node in assigned for leaf in range(*node)}
                    self.attached[worker] += [(round_, node) for node in maximal_subtrees(first, last, opened.leaves)]
                case EpochEnd():
                    self.epochs.append(action)
                case Boundary(final):
                    self.waiting = 0
                    self.over = final
                    assert self.server.current is None or not final
                    assert final == (self.final or self.server.position.round == self.job.schedule.rounds)
                    if final:
                        self.forget_the_open_round()
                case _:
                    raise AssertionError(action)

    def forget_the_open_round(self):
        """No worker was left to complete it: the next server begins it anew, and pushes under way come too late."""
        round_ = self.server.position.round
        self.counted.pop(round_, None)
        self.pushed = [pushed for pushed in self.pushed if pushed[0] != round_]
        for nodes in self.attached.values():
            nodes[:] = [node for node in nodes if node[0] != round_]

    def push(self, round_, node):
        """Push what a worker computes from the present weights."""
        gradient = dense(self.job.gradient(self.arrays[0], round_, node))
        opened = self.job.schedule.round(round_)
        refusal, actions = self.server.push(
            round_, node, gradient if opened.kind is RoundKind.TRAIN else None, self.job.sums(round_, node)
        )
        if not refusal:
            self.pushed.append((round_, node))
            counted = self.counted.setdefault(round_, set())
            assert not counted & set(range(*node))
            counted.update(range(*node))
        self.carry_out(actions)
        return refusal

    # ---- events

    @rule()
    def attach(self):
        self.attached[self.workers] = []
        self.server.attached(self.workers)
        self.workers += 1

    @rule(data=st.data())
    def plan(self, data):
        workers = data.draw(st.lists(st.sampled_from(sorted(self.attached)), unique=True)) if self.attached else []
        shares = [data.draw(st.floats(0.1, 10)) for _ in workers]
        self.planned, self.plans = set(workers), self.plans + 1
        self.unconfirmed, self.open_at_plan = True, self.server.current
        numbers = st.integers(0, self.workers + 2).filter(lambda number: number not in self.attached)
        gone = data.draw(st.lists(numbers, max_size=2, unique=True))
        self.carry_out(self.server.plan(self.plans, [*workers, *gone], [*shares, *(1.0 for _ in gone)]))

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
        """Another worker pushes first what a worker is computing; its own push comes too late then."""
        worker = data.draw(st.sampled_from([w for w, nodes in self.attached.items() if nodes]))
        assert self.push(*self.attached[worker][-1]) in ("", "DUPLICATE", "LATE")

    @precondition(lambda self: self.pushed)
    @rule(data=st.data())
    def push_again(self, data):
        round_, node = data.draw(st.sampled_from(self.pushed[-8:]))
        opened = self.server.current
        assert self.push(round_, node) == ("DUPLICATE" if opened and opened.number == round_ else "LATE")

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

    @rule(held=st.booleans())
    def hold(self, held):
        """The coordinator stops reading, or reads again."""
        opened = self.server.current
        self.held = (opened.number if opened else -1) if held else None
        self.carry_out(self.server.hold(held))

    @rule()
    def snapshot(self):
        if not self.over:
            self.waiting += 1
        self.carry_out(self.server.snapshot())

    @rule(really=st.sampled_from([False, False, False, True]), at_once=st.booleans())
    def stop(self, really, at_once):
        """Pause, so that a new server can go on from the snapshot."""
        if really and not self.over:
            self.final = True
            self.waiting += 1
            self.carry_out(self.server.pause(at_once=at_once))

    @precondition(lambda self: self.over and self.server.position.round < self.job.schedule.rounds)
    @rule()
    def go_on(self):
        position = self.server.position
        copy = Position(position.round, position.step, position.epoch_sums.copy())
        self.server, self.arrays = self.job.server(self.executor, copy, self.arrays)
        self.attached, self.planned, self.final, self.over, self.held = {}, set(), False, False, None
        self.unconfirmed = False

    # ---- invariants

    @invariant()
    def no_round_begins_while_training_is_held(self):
        if self.held is not None:
            assert self.server.current is None or self.server.current.number == self.held

    @invariant()
    def a_plan_is_in_force_unless_the_round_before_it_is_open(self):
        assert not self.unconfirmed or self.server.current is self.open_at_plan is not None

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
        """Once a worker is attached, the run completes, whatever has happened."""
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
            self.plans += 1
            self.unconfirmed, self.open_at_plan = True, self.server.current
            self.carry_out(self.server.plan(self.plans, [worker], [1.0]))
            self.hold(False)
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
