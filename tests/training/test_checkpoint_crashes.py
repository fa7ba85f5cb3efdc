"""The machine or the process stops at each operation of a save: no acknowledged checkpoint or epoch is lost."""

import errno
import random
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from raydient.server.training.history import History
from raydient.server.training.reports import EpochEnded
from tests.simulation.disk import SimulatedDisk, Stopped

from .conftest import SmallJob, arrays

JOB = Path("/job")
ENDS = ["process", "power", *range(6)]


def make_disk():
    disk = SimulatedDisk()
    disk.make_folder(JOB)
    disk.sync_folder(JOB.parent)
    return disk


def end(disk, how):
    """End the process, or the machine with nothing or with a random part of the unsynced changes."""
    if how == "process":
        disk.kill()
    else:
        disk.crash(None if how == "power" else random.Random(how))
    disk.faults = lambda operation, path: None


def at(point, error):
    """Return faults that raise `error` at the operation with this number; `used` is set then."""

    def faults(operation, path):
        faults.count += 1
        if faults.count == point:
            faults.used = True
            raise error

    faults.count, faults.used = 0, False
    return faults


def epoch(number):
    return EpochEnded(number, 3 * number, 0.25, {"train": {"loss": 1.0}})


def save(disk, steps, acknowledged):
    """Save checkpoints as a run does, each after its epoch; append each step once it is acknowledged."""
    job = SmallJob(JOB / "checkpoints", disk=disk)
    with closing(History(JOB / "history.log", disk=disk)) as history:
        for step in steps:
            history.append(epoch(step))
            history.sync()
            job.save(step, keep=2)
            acknowledged.append(step)


def durable_step(disk):
    """Return the step from which a job would go on if the power were lost now."""
    loaded, _ = SmallJob(JOB / "checkpoints", disk=disk.after_power_loss()).checkpoints.load_latest()
    return loaded.manifest.step if loaded else 0


def check(disk, acknowledged, *, most, sums=((0.5, 1.0),)):
    """Check that a new process finds every acknowledged result, and can go on; the position has one of these sums."""
    job = SmallJob(JOB / "checkpoints", disk=disk)
    job.checkpoints.remove_leftovers()
    loaded, damage = job.checkpoints.load_latest()
    assert damage == []
    step = loaded.manifest.step if loaded else 0
    assert max(acknowledged, default=0) <= step <= most
    assert durable_step(disk) == step, "a run begins at a checkpoint that is not durable"
    if loaded:
        assert tuple(loaded.manifest.epoch_sums) in sums
        np.testing.assert_array_equal(loaded.arrays["weights"], arrays(step)["weights"])
        np.testing.assert_array_equal(loaded.arrays["velocity"], arrays(step)["velocity"])
    with closing(History(JOB / "history.log", disk=disk)) as history:
        assert [one.epoch for one in history.read(0, 100)][:step] == list(range(1, step + 1))
    save(disk, [most + 1], [])
    disk.crash()
    assert job.load().manifest.step == most + 1
    while loaded:  # each older one is whole too
        loaded, damage = job.checkpoints.load_latest()
        assert damage == []
        job.checkpoints.discard(loaded.manifest.step if loaded else 0)


@pytest.mark.parametrize("how", ENDS)
def test_a_stop_at_any_operation_loses_nothing_acknowledged(how):
    for point in range(1, 1000):
        disk, acknowledged = make_disk(), []
        disk.faults = at(point, Stopped())
        try:
            save(disk, [1, 2, 3, 4], acknowledged)
        except Stopped:
            end(disk, how)
            check(disk, acknowledged, most=4)
        else:
            break
    assert acknowledged == [1, 2, 3, 4]
    assert point > 100, "every operation of four saves was tried"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("how", ["process", "power", 0])
def test_a_save_that_fails_at_any_operation_is_repeated(how, number):
    """An acknowledged repetition is durable, whichever operation of the first attempt failed."""
    for point in range(1, 1000):
        disk = make_disk()
        save(disk, [1], [])
        disk.faults = faults = at(point, OSError(number, "a fault"))
        acknowledged = [1]
        try:
            save(disk, [2], acknowledged)
        except OSError:
            save(disk, [2], acknowledged)
        end(disk, how)
        check(disk, [2], most=2)
        if not faults.used:
            break
    assert point > 20


@pytest.mark.parametrize("how", ENDS)
def test_a_stop_while_a_later_position_of_a_step_is_saved_loses_no_checkpoint(how):
    """As of an amendment that takes effect where a checkpoint was taken."""
    for point in range(1, 1000):
        disk = make_disk()
        save(disk, [1, 2], [])
        disk.faults, acknowledged = at(point, Stopped()), False
        try:
            SmallJob(JOB / "checkpoints", disk=disk).save(2, epoch_sums=(7.0, 7.0))
            acknowledged = True
        except Stopped:
            pass
        assert durable_step(disk) == 2
        end(disk, how)
        check(disk, [1, 2], most=2, sums=((7.0, 7.0),) if acknowledged else ((0.5, 1.0), (7.0, 7.0)))
        if acknowledged:
            break
    assert point > 20
