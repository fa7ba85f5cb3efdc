"""Invariants after every decision of the coordinator, while workers join, leave, die and are scaled in any order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from raydient.server.training.actions import Kill, Ping, Serve, SetPlan, Start, Tell, Work
from raydient.server.training.coordinator import Coordinator
from raydient.server.training.failures import TOGETHER_SECONDS
from raydient.server.training.progress import ProgressReports
from raydient.server.training.reports import Finished
from raydient.server.training.saving import Saving
from raydient.steps.measurements import Measurements
from raydient.steps.schedule import Schedule
from raydient.wire.control import Role, Scale, Status


class Members(RuleBasedStateMachine):
    """The processes of a run, driven by the actions of the coordinator."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.wanted = self.minimum = 2
        self.living = {}  # member to its role
        self.silent = set()
        self.working = {}  # worker to its place
        self.parts = {}  # worker to the generation of its work
        self.orphans = set()  # workers whose server is gone
        self.joining = set()  # has received work, is not attached yet
        self.attached = set()
        self.plan = None  # the newest
        self.in_force = None
        self.step = 0
        schedule = Schedule(train_rows=1000, test_rows=0, epochs=1000, batch_size=10, microbatches=4)

        def clock():
            return self.now

        self.coordinator = Coordinator(
            Scale(2, 2), reports=ProgressReports(schedule, dict, clock), saving=Saving(1e9, 1, clock), clock=clock
        )
        self.carry_out(self.coordinator.begin())

    def carry_out(self, actions):
        for action in actions:
            match action:
                case Start(role, member):
                    assert member not in self.living
                    self.living[member] = role
                    self.silent.add(member)
                case Kill(member):
                    assert member in self.living
                    left = self.plan is not None and self.plan == self.in_force and member not in self.plan.workers
                    starting = member not in self.attached or self.plan is None
                    server_lost = Role.PARAMETER_SERVER not in self.living.values()
                    assert left or starting or server_lost, "a worker at work is not killed"
                    self.forget(member)
                case Work(member=member, place=place, generation=generation):
                    assert place not in {self.working[w] for w in self.working if w in self.living}
                    self.working[member] = place
                    assert self.parts.get(member, -1) < generation
                    self.parts[member] = generation
                    self.joining.add(member)
                case SetPlan(plan):
                    assert set(plan.workers) <= self.attached & self.living.keys()
                    assert self.plan is None or plan.number > self.plan.number
                    self.plan = plan
                case Tell(report):
                    assert not isinstance(report, Finished)
                case Ping(member):
                    self.coordinator.answered(member)
                case Serve():
                    pass

    def forget(self, member):
        self.living.pop(member)
        self.working.pop(member, None)
        self.parts.pop(member, None)
        for group in (self.silent, self.joining, self.attached, self.orphans):
            group.discard(member)

    @precondition(lambda self: self.silent)
    @rule(data=st.data())
    def introduce(self, data):
        member = data.draw(st.sampled_from(sorted(self.silent)))
        self.silent.discard(member)
        self.carry_out(self.coordinator.hello(member))

    @precondition(lambda self: self.orphans)
    @rule(data=st.data())
    def come_back(self, data):
        worker = data.draw(st.sampled_from(sorted(self.orphans)))
        self.orphans.discard(worker)
        del self.working[worker]
        self.carry_out(self.coordinator.returned(worker, self.parts[worker]))

    @precondition(lambda self: self.joining)
    @rule(data=st.data())
    def attach(self, data):
        worker = data.draw(st.sampled_from(sorted(self.joining)))
        self.joining.discard(worker)
        self.attached.add(worker)
        self.carry_out(self.coordinator.attached(worker))

    @precondition(lambda self: self.plan != self.in_force)
    @rule()
    def end_the_round(self):
        self.in_force = self.plan
        self.carry_out(self.coordinator.plan_in_force(self.plan.number))

    @rule(workers=st.integers(1, 5), data=st.data())
    def scale(self, workers, data):
        self.wanted, self.minimum = workers, data.draw(st.integers(1, workers))
        self.carry_out(self.coordinator.scale(self.wanted, self.minimum))

    @rule(data=st.data())
    def die(self, data):
        member = data.draw(st.sampled_from(sorted(self.living)))
        role = self.living[member]
        self.forget(member)
        self.make_progress()
        if role is Role.PARAMETER_SERVER:
            self.plan = self.in_force = None
            self.attached.clear()
            self.joining.clear()
            self.orphans = set(self.working)
        self.carry_out(self.coordinator.lost(member, "killed"))

    def make_progress(self):
        """Without completed steps, losses would soon be too many in a row."""
        self.now += TOGETHER_SECONDS
        self.step += 1
        self.carry_out(self.coordinator.status(Status(self.step, self.step, Measurements(0.5, 0.1))))

    @rule(seconds=st.floats(0, 40))
    def pass_time(self, seconds):
        self.now += seconds
        self.carry_out(self.coordinator.tick(unplaced=self.silent))

    @invariant()
    def there_are_as_many_workers_as_are_wanted(self):
        workers = {m for m, role in self.living.items() if role is Role.WORKER}
        leaving = {w for w in self.attached & workers if self.plan is not None and w not in self.plan.workers}
        assert len(workers - leaving) <= self.wanted <= len(workers)

    @invariant()
    def who_is_at_work_is_planned_for(self):
        if self.plan is not None and self.plan.workers and self.plan == self.in_force:
            assert len(self.attached & set(self.plan.workers)) == min(self.wanted, len(self.attached))


def test_scaling():
    run_state_machine_as_test(Members, settings=settings(max_examples=60, stateful_step_count=40))
