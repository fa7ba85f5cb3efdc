"""A small job's checkpoints, for every test of what happens to them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from raydient.server.training.checkpoints import Checkpoints
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule

LAYOUT = Layout.of([("a.kernel", (2, 3)), ("a.bias", (3,))])
# An epoch is 5 steps and an evaluation.
SCHEDULE = Schedule(train_rows=100, test_rows=10, epochs=200, batch_size=20, microbatches=4)


def arrays(step):
    """Vectors that differ from step to step."""
    return {"weights": np.arange(9, dtype=np.float32) + step, "velocity": np.arange(9, dtype=np.float32) * step}


@dataclass
class SmallJob:
    """Writes checkpoints of a job into `directory`."""

    directory: Path
    job: str = "a1"
    state: tuple[str, ...] = ("velocity",)

    @property
    def checkpoints(self):
        return Checkpoints(self.directory, job=self.job, layout=LAYOUT, state=self.state, schedule=SCHEDULE)

    def save(self, step, *, keep=2, epoch_sums=(0.5, 1.0), values=None, more=None):
        """Write the checkpoint of a step; what it set aside."""
        epoch, within = divmod(step, 5)
        position = {
            "round": 6 * epoch + within,
            "step": step,
            "epoch": epoch,
            "epoch_sums": list(epoch_sums),
            "numerics": {"numpy": "2"},
        }
        vectors = arrays(step if values is None else values) | (more or {})
        metadata = {"digest": LAYOUT.digest(vectors["weights"]), "more": "ü"}
        return self.checkpoints.save(vectors, position, metadata=metadata, keep=keep)

    def load(self):
        """The newest good checkpoint; what is set aside is not looked at."""
        return self.checkpoints.load_latest()[0]


@pytest.fixture
def small_job(tmp_path):
    return SmallJob(tmp_path / "checkpoints")
