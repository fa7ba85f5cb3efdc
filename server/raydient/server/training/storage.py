"""The files of a run in its job's folder: the checkpoint or weights it starts from, its checkpoints and the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from raydient.files import remove_leftovers
from raydient.steps.arrays import AnyArray, Vector
from raydient.steps.scores import EPOCH_SCORES
from raydient.wire import control
from raydient.workers.network import Model, read_weights, save_model

from . import unfinished_epoch
from .checkpoints import Checkpoint, Checkpoints, Damage
from .fingerprint import differences, fingerprint
from .initial_weights import MODEL_FILE
from .preparation import Prepared
from .reports import Notice


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The position and the arrays that training starts from.

    Attributes:
        arrays: the weights, and the optimizer's vectors unless training starts at step 0.
        round, step, epoch_sums: see `Manifest`.
        steps: steps of the checkpoints up to this one, in ascending order.
        notices: notices for the user about how it was found.
    """

    arrays: Mapping[str, AnyArray]
    round: int = 0
    step: int = 0
    epoch_sums: Sequence[float] = ()
    steps: Sequence[int] = ()
    notices: Sequence[Notice] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot that is on disk.

    Attributes:
        size_bytes: size of its arrays.
        digest: digest of the weights if training is complete and the model is written; else empty.
        notices: notices for the user about damaged checkpoints in its place.
    """

    size_bytes: int
    digest: str
    notices: Sequence[Notice] = field(default=())


class Storage:
    """The folder of a job. The caller holds the job's lock."""

    def __init__(self, prepared: Prepared, directory: Path, job: str, state: Sequence[str]) -> None:
        """`state` names the optimizer's arrays."""
        self._prepared, self._directory = prepared, directory
        self._checkpoints = Checkpoints(
            directory / "checkpoints",
            job=job,
            layout=prepared.network.layout,
            state=state,
            schedule=prepared.schedule,
            ranks=len(prepared.network.ranks),
        )
        self._numerics = fingerprint()

    def remove_leftovers(self) -> None:
        """Remove partial files of processes that were killed."""
        self._checkpoints.remove_leftovers()
        remove_leftovers(self._directory)

    def discard(self, step: int) -> None:
        """Remove the checkpoint of a step, if there is one."""
        self._checkpoints.discard(step)

    def is_complete(self, snapshot: control.Snapshot) -> bool:
        """True if training is complete: no round follows the snapshot."""
        return snapshot.round == self._prepared.schedule.rounds

    def not_finite(self, weights: Vector) -> str:
        """Name of the first parameter with a value that is NaN or infinite; empty if there is none."""
        if np.isfinite(weights).all():
            return ""
        views = self._prepared.network.layout.views(weights)
        return next(name for name, view in views.items() if not np.isfinite(view).all())

    def write(self, snapshot: control.Snapshot, arrays: control.Arrays) -> Written:
        """Write a checkpoint, and the model if training is complete; durable on return. Raises OSError.

        After an error the earlier checkpoints are unchanged, and the same snapshot may be written again.
        """
        epoch, _ = self._prepared.schedule.position(snapshot.round)
        position = {
            "round": snapshot.round,
            "step": snapshot.step,
            "epoch": epoch,
            "epoch_sums": list(snapshot.epoch_sums),
            "numerics": self._numerics,
        }
        data, spec = self._prepared.dataset, self._prepared.spec
        model = Model(spec.network, data.inputs, arrays["weights"], data.targets)
        damage = self._checkpoints.save(arrays, position, metadata=model.metadata, keep=spec.checkpoints.keep)
        if complete := self.is_complete(snapshot):
            save_model(self._directory / MODEL_FILE, model)
        size = sum(array.nbytes for array in arrays.values())
        return Written(size, model.digest if complete else "", _damage_notices(damage))

    def read(self, *, expected: bool) -> StartingPoint:
        """Read the newest good checkpoint, or else the initial weights. Damaged checkpoints are set aside.

        `expected` says that the run has a checkpoint; a notice tells if none is good.
        """
        checkpoint, damage = self._checkpoints.load_latest()
        notices = _damage_notices(damage)
        if checkpoint is not None:
            return self._after(checkpoint, notices)
        if damage or expected:
            notices.append(Notice("STARTED_OVER", "there is no good checkpoint: training starts again at step 0"))
        prepared = self._prepared
        weights = np.zeros(prepared.network.layout.size, np.float32)
        if prepared.initial_weights is None:
            prepared.network.initialize(prepared.spec.training.seed, weights)
        else:
            read_weights(prepared.network, prepared.initial_weights, weights)
        return StartingPoint({"weights": weights}, notices=notices)

    def _after(self, checkpoint: Checkpoint, notices: list[Notice]) -> StartingPoint:
        manifest, arrays = checkpoint.manifest, dict(checkpoint.arrays)
        notices.append(Notice("RESUMED", f"goes on from the checkpoint of step {manifest.step}"))
        sums = manifest.epoch_sums
        if not unfinished_epoch.fits(self._prepared.network, sums, arrays):
            sums = ()
            arrays.pop(EPOCH_SCORES, None)
            text = "another version made the checkpoint: metrics of the epoch begin at its step"
            notices.append(Notice("METRICS_RESTARTED", text))
        if changed := differences(manifest.numerics, self._numerics):
            text = f"other bits are possible, the checkpoint was computed with {'; '.join(changed)}"
            notices.append(Notice("NUMERICS_CHANGED", text))
        steps = [step for step in self._checkpoints.steps() if step <= manifest.step]
        return StartingPoint(arrays, manifest.round, manifest.step, sums, steps, notices)


def _damage_notices(damage: Sequence[Damage]) -> list[Notice]:
    return [Notice("CHECKPOINT_DAMAGED", str(entry)) for entry in damage]
