"""Helpers for the tests of the coordinator: they play the members, and read its actions."""

from raydient.server.training.actions import Kill, Ping, SetPlan, Start, Tell
from raydient.server.training.reports import CheckpointTaken
from raydient.steps.measurements import Measurements
from raydient.steps.schedule import Schedule
from raydient.wire import control
from raydient.wire.control import Role

SCHEDULE = Schedule(train_rows=100, test_rows=10, epochs=3, batch_size=40, microbatches=4)


def status(step, round_=None, health=None, computed=None):
    return control.Status(
        round=step if round_ is None else round_,
        step=step,
        measurements=Measurements(loss=0.5, learning_rate=0.1, gradient_health=health),
        computed=computed or {},
    )


def running(coordinator):
    """Bring a coordinator to the point where two workers, 1 and 2, are at work for parameter server 0."""
    coordinator.begin()
    for member in (0, 1, 2):
        coordinator.hello(member)
    return coordinator.attached(1) + coordinator.attached(2)


def running_with(coordinator):
    """Bring a coordinator to the point where its workers, numbered from 1, are at work; return it."""
    workers = [a.member for a in coordinator.begin() if a.role is Role.WORKER]
    for member in (0, *workers):
        coordinator.hello(member)
    for worker in workers:
        coordinator.attached(worker)
    return coordinator


def saved(coordinator, step, **end):
    """Note that the snapshot of a step is on disk; return the actions."""
    return coordinator.saved(CheckpointTaken(step, 0.1, 400), **({"final": False} | end))


def plans(actions):
    return [a.plan for a in actions if isinstance(a, SetPlan)]


def changes(actions):
    return [a for a in actions if isinstance(a, (Start, Kill))]


def starts(actions):
    return [action for action in actions if isinstance(action, Start)]


def reports(actions, kind):
    return [a.report for a in actions if isinstance(a, Tell) and isinstance(a.report, kind)]


def done(*epochs):
    """Return the message that these epochs, numbered from 0, are complete."""
    return control.EpochsDone([control.EpochSums(n, 3 * (n + 1), 0.5, [100, 50.0, 80.0], []) for n in epochs])


def due(coordinator, answering=None):
    """Return the actions of a tick except pings, which the members `answering` answer, all if that is None."""
    actions = []
    for action in coordinator.tick():
        if not isinstance(action, Ping):
            actions.append(action)
        elif answering is None or action.member in answering:
            coordinator.answered(action.member)
    return actions


def seconds_until(coordinator, clock, action):
    """Return the whole seconds until `tick` returns this action; every member answers pings."""
    for seconds in range(2000):
        if action in due(coordinator):
            return seconds
        clock.now += 1
    raise AssertionError("it never does")


def silence(coordinator, clock, answering, seconds=7):
    """Let seconds pass in which only the members `answering` answer pings; return the actions except pings."""
    actions = []
    for _ in range(seconds):
        clock.now += 1
        actions += due(coordinator, answering)
    return actions
