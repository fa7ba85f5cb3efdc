"""The files of a run in its job's folder: the checkpoint or weights it starts from, its checkpoints and the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from raydient.files import LOCAL, Disk, remove_leftovers
from raydient.server.parameters.epoch_watch import KEEP
from raydient.server.parameters.snapshots import vectors
from raydient.spec.dataset import columns_beside
from raydient.steps.amendments import Amendment
from raydient.steps.arrays import AnyArray
from raydient.steps.measurements import GradientHealth
from raydient.steps.scores import EPOCH_SCORES, SCORE
from raydient.steps.watched import Watched
from raydient.wire import control
from raydient.workers.network import Model, Network, read_weights, save_model

from .checkpoint_files import MODELS, Checkpoint, Damage, good_manifests
from .checkpoints import Checkpoints
from .endings import has_best
from .history import History
from .initial_weights import MODEL_FILE
from .numerics import Numerics
from .order_record import OrderRecord
from .preparation import Prepared
from .reports import Notice


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The position and the arrays that training starts from.

    Attributes:
        arrays: the weights, and the other vectors of a checkpoint unless training starts at step 0.
        round, step, epoch_sums, watched, seconds, amendments, outstanding, epoch: see `Manifest`.
        steps: steps of the checkpoints up to this one, in ascending order; empty if it is the beginning.
        damage: notices about checkpoints that were found damaged.
        changes: notices about what differs from the process that made the checkpoint.
    """

    arrays: Mapping[str, AnyArray]
    round: int = 0
    step: int = 0
    epoch_sums: Sequence[float] = ()
    watched: Mapping[str, Watched] = field(default_factory=dict)
    steps: Sequence[int] = ()
    damage: Sequence[Notice] = ()
    changes: Sequence[Notice] = ()
    seconds: float = 0.0
    amendments: Sequence[Amendment] = ()
    outstanding: Sequence[int] = ()
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot that is on disk.

    Attributes:
        size_bytes: size of its arrays.
        digest: digest of the model if training is over and the model is written; else empty.
        notices: notices for the user about damaged checkpoints in its place.
    """

    size_bytes: int
    digest: str
    notices: Sequence[Notice] = field(default=())


class Storage:
    """The folder of a job. The caller holds the job's lock.

    Attributes:
        history: the record of the job's epochs.
        numerics: the arithmetic of the run.
        order: the record of the order of arrival.
        gradient_health: the newest that was reported, for the model's record; None before the first.
    """

    def __init__(
        self,
        prepared: Prepared,
        directory: Path,
        job: str,
        history: History,
        before_writing: Callable[[], None] = lambda: None,
        *,
        disk: Disk = LOCAL,
        data: Mapping[str, str] | None = None,
    ) -> None:
        """`before_writing` is called before a checkpoint or a model is written; it may raise.

        `data` has the SHA-256 of data files that the specification names by a path, for the model's record.
        """
        self._prepared, self._directory, self._job = prepared, directory, job
        self._before_writing = before_writing
        self.history, self._disk, self._data = history, disk, dict(data or {})
        layout, forms = prepared.network.layout, vectors(prepared.spec.training)
        self._checkpoints = Checkpoints(
            directory / "checkpoints",
            job=job,
            layout=layout,
            state={name: form.layout(layout) for name, form in forms.items() if name not in MODELS}
            | dict.fromkeys(prepared.residuals, layout),
            schedule=prepared.schedule,
            ranks=len(prepared.network.ranks),
            amended=lambda amendments: prepared.amended(amendments).schedule,
            disk=disk,
        )
        self.order = OrderRecord(directory, disk)
        self.gradient_health: GradientHealth | None = None
        self.numerics = Numerics(prepared.spec.training.numerics.kind)

    def refusal(self) -> tuple[int, str]:
        """Return the step of the newest checkpoint and why training must not go on from it; empty if it may."""
        for _, manifest, _ in good_manifests(self._directory / "checkpoints", self._job, self._disk):
            return manifest.step, self.numerics.refusal(manifest.numerics)
        return 0, ""

    def remove_leftovers(self) -> None:
        """Remove partial files of processes that were killed."""
        self._checkpoints.remove_leftovers()
        remove_leftovers(self._directory, self._disk)

    def discard(self, step: int) -> None:
        """Remove the checkpoint of a step, if there is one."""
        self._checkpoints.discard(step)

    def not_finite(self, arrays: control.Arrays) -> str:
        """Return the name of the first parameter with a value that is NaN or infinite; empty if there is none.

        `arrays` are those of a snapshot.
        """
        for vector in ("weights", "average"):
            if vector in arrays and not np.isfinite(arrays[vector]).all():
                views = self._prepared.network.layout.views(arrays[vector])
                return next(name for name, view in views.items() if not np.isfinite(view).all())
        return ""

    def write(self, snapshot: control.Snapshot, arrays: control.Arrays) -> Written:
        """Write the record of epochs, a checkpoint, and the model if training is over; durable on return.

        After an error the earlier checkpoints are unchanged, and the same snapshot may be written again. Raises
        OSError, MemoryError, and what `before_writing` raises.
        """
        self._before_writing()
        self.order.sync(snapshot.step)
        self.history.sync()  # before the checkpoint, because its epochs are never computed again
        epoch, _ = self._prepared.amended(snapshot.amendments).schedule.position(snapshot.round)
        position = {
            "round": snapshot.round,
            "step": snapshot.step,
            "epoch": epoch,
            "epoch_sums": list(snapshot.epoch_sums),
            "numerics": self.numerics.record,
            "watched": dict(snapshot.watched),
            "seconds": snapshot.seconds,
            "amendments": list(snapshot.amendments),
            "outstanding": list(snapshot.outstanding),
        }
        if not has_best(snapshot.watched):
            arrays = {name: array for name, array in arrays.items() if name != "best"}
        model = self._model(arrays["weights"], snapshot.amendments)
        others = {name: self._model(arrays[name], snapshot.amendments) for name in MODELS if name in arrays}
        damage = self._checkpoints.save(
            arrays,
            position,
            metadata=model.metadata,
            keep=self._prepared.spec.checkpoints.keep,
            models={name: other.metadata for name, other in others.items()},
        )
        result = {"weights": model, **others}[result_of(arrays, snapshot.watched)]
        if snapshot.ending is not None:
            result = replace(result, training={**result.training, **self._results(snapshot.watched)})
            save_model(self._directory / MODEL_FILE, result, self._disk)
        size = sum(array.nbytes for array in arrays.values())
        return Written(size, result.digest if snapshot.ending is not None else "", _damage_notices(damage))

    def _model(self, weights: AnyArray, amendments: Sequence[Amendment]) -> Model:
        data, specification = self._prepared.dataset, self._prepared.spec.network
        return Model(
            specification,
            data.inputs,
            weights,
            data.targets,
            mixed_bits=self.numerics.mixed,
            amendments=amendments,
            beside=columns_beside(self._prepared.spec.dataset),
            training={
                "version": version("raydient"),
                "specification": self._prepared.amended(amendments).spec.canonical(),
                "numerics": self.numerics.record,
                "data": self._data,
            },
        )

    def _results(self, watched: Mapping[str, Watched]) -> dict[str, Any]:
        """The epoch whose weights the model has, the best or the last one, with its metrics, and gradient health."""
        results: dict[str, Any] = {}
        if self.gradient_health is not None:
            results["gradient_health"] = finite(asdict(self.gradient_health))
        newest = self.history.newest()
        if has_best(watched):
            newest = next(iter(self.history.read(watched[KEEP].epoch - 1, 1)), None)
        return results if newest is None else {**results, "epoch": newest.epoch, "metrics": newest.metrics}

    def read(self) -> StartingPoint:
        """Read the newest good checkpoint, or else the initial weights. Damaged checkpoints are set aside."""
        checkpoint, damage = self._checkpoints.load_latest()
        self.order.go_on_from(checkpoint.manifest.step if checkpoint is not None else 0)
        if checkpoint is not None:
            return self._after(checkpoint, _damage_notices(damage))
        return replace(beginning(self._prepared), damage=_damage_notices(damage))

    def _after(self, checkpoint: Checkpoint, damage: Sequence[Notice]) -> StartingPoint:
        manifest, arrays = checkpoint.manifest, dict(checkpoint.arrays)
        sums, changes = manifest.epoch_sums, []
        if not fits(self._prepared.network, sums, arrays):
            sums = ()
            arrays.pop(EPOCH_SCORES, None)
            text = "another version made the checkpoint: metrics of the epoch begin at its step"
            changes.append(Notice("METRICS_RESTARTED", text))
        changes += self.numerics.go_on_from(manifest.numerics)
        steps = [step for step in self._checkpoints.steps() if step <= manifest.step]
        return StartingPoint(
            arrays,
            manifest.round,
            manifest.step,
            sums,
            manifest.watched,
            steps,
            damage,
            changes,
            manifest.seconds,
            manifest.amendments,
            manifest.outstanding,
            manifest.epoch,
        )


def beginning(prepared: Prepared) -> StartingPoint:
    """Return the initial weights of a job."""
    weights = np.zeros(prepared.network.layout.size, np.float32)
    if len(prepared.taken) < len(prepared.network.layout.parameters):
        prepared.network.initialize(prepared.spec.training.seed, weights)
    if prepared.initial_weights is not None:
        read_weights(prepared.network, prepared.initial_weights, weights, prepared.taken)
    return StartingPoint({"weights": weights})


def result_of(arrays: Mapping[str, Any], watched: Mapping[str, Watched]) -> str:
    """Return the name of the vector that is the model: the best epoch, else the average, else the weights."""
    names = [name for name in MODELS if name in arrays and (name != "best" or has_best(watched))]
    return next(iter(names), "weights")


def fits(network: Network, sums: Sequence[float], arrays: Mapping[str, Any]) -> bool:
    """Return True if a checkpoint's sums (rows first) and scores of an unfinished epoch fit the network's metrics.

    A checkpoint of a version with other sums per metric does not fit.
    """
    scores = arrays.get(EPOCH_SCORES)
    size = 0 if scores is None else scores.size
    return len(sums) == 1 + network.sums and size == SCORE.itemsize * len(network.ranks) * int(sums[0])


def finite(value: Any) -> Any:
    """Return plain data without numbers that JSON lacks, which become None."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _damage_notices(damage: Sequence[Damage]) -> list[Notice]:
    return [Notice("CHECKPOINT_DAMAGED", str(entry)) for entry in damage]
