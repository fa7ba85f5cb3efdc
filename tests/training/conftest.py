"""A coordinator with a clock that the test sets, and checkpoints of a small job."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from raydient.files import LOCAL, Disk
from raydient.server.training.checkpoints import Checkpoints
from raydient.server.training.coordinator import Coordinator
from raydient.server.training.progress import ProgressReports
from raydient.server.training.saving import Saving
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule
from raydient.steps.watched import Watched
from raydient.wire import control

from . import coordinating

LAYOUT = Layout.of([("a.kernel", (2, 3)), ("a.bias", (3,))])
# An epoch is 5 steps and an evaluation.
SCHEDULE = Schedule(train_rows=100, test_rows=10, epochs=200, batch_size=20, microbatches=4)


def arrays(step):
    """Return vectors that differ from step to step."""
    return {"weights": np.arange(9, dtype=np.float32) + step, "velocity": np.arange(9, dtype=np.float32) * step}


@dataclass
class SmallJob:
    """Writes checkpoints of a job into `directory`."""

    directory: Path
    job: str = "a1"
    state: tuple[str, ...] = ("velocity",)
    disk: Disk = LOCAL

    @property
    def checkpoints(self):
        return Checkpoints(
            self.directory,
            job=self.job,
            layout=LAYOUT,
            state=dict.fromkeys(self.state, LAYOUT),
            schedule=SCHEDULE,
            disk=self.disk,
        )

    def save(self, step, *, keep=2, epoch_sums=(0.5, 1.0), values=None, more=None, best=None, average=None):
        """Write the checkpoint of a step; return the damage that was set aside.

        `best` is the step of the best epoch, `average` the one whose weights are the average.
        """
        epoch, within = divmod(step, 5)
        position = {
            "round": 6 * epoch + within,
            "step": step,
            "epoch": epoch,
            "epoch_sums": list(epoch_sums),
            "numerics": {"numpy": "2"},
            "watched": {} if best is None else {"keep": Watched(0.25, 1, 3)},
        }
        vectors = arrays(step if values is None else values) | (more or {})
        metadata = {"digest": LAYOUT.digest(vectors["weights"]), "more": "ü"}
        others = {name: of for name, of in (("best", best), ("average", average)) if of is not None}
        vectors |= {name: arrays(of)["weights"] for name, of in others.items()}
        models = {name: {"digest": LAYOUT.digest(vectors[name])} for name in others}
        return self.checkpoints.save(vectors, position, metadata=metadata, keep=keep, models=models)

    def load(self):
        """Return the newest good checkpoint."""
        return self.checkpoints.load_latest()[0]


@pytest.fixture
def small_job(tmp_path):
    return SmallJob(tmp_path / "checkpoints")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_coordinator(clock):
    def finish(sums):
        return {"loss": sums[1] / sums[0], "accuracy": sums[2] / sums[0]}

    def make(workers=2, minimum=2, last_epoch=0, checkpoint_seconds=10.0, warnings=(), servers=1):
        return Coordinator(
            control.Scale(workers, minimum),
            servers=servers,
            reports=ProgressReports(coordinating.SCHEDULE, finish, clock, last_epoch),
            saving=Saving(checkpoint_seconds, 2, clock),
            clock=clock,
            warnings=warnings,
        )

    return make


@pytest.fixture
def coordinator(make_coordinator):
    return make_coordinator()


@pytest.fixture
def pinged(coordinator):
    """Two workers, 1 and 2, at work for parameter server 0, all with lifelines."""
    coordinating.running(coordinator)
    for member in (0, 1, 2):
        coordinator.answered(member)
    return coordinator
