"""From a specification and a data file to what training starts with; here every wrong input is found."""

from dataclasses import dataclass
from pathlib import Path

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.wire.schedule import Schedule, default_microbatches
from raydient.workers.data import Dataset, check_indices, check_labels, load
from raydient.workers.network import Network, build, weights_problem

from .initial_weights import FIELD, find_weights, keep_weights


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that fits its data."""

    spec: JobSpec
    dataset: Dataset
    network: Network
    schedule: Schedule
    initial_weights: Path | None = None


def prepare(
    spec: JobSpec, dataset: Path, *, jobs: Path | None = None, files: Path | None = None, kept: Path | None = None
) -> Prepared:
    """Read the data, build the network on it and lay out the rounds.

    `jobs` and `files` are where weights to start from are looked for, see `find_weights`. With `kept` they are looked
    for there first, and put there: a job that goes on does so whatever became of the other one.

    Raises:
        InvalidSpec: with every rule broken that can be known at once; nothing has been started or written.
    """
    training = spec.training
    data = load(spec.dataset, dataset, spec.network.named_outputs, training.seed)
    errors: list[FieldError] = []
    microbatches = training.microbatches or default_microbatches(training.batch_size)
    rows = data.train.rows
    if training.batch_size > rows:
        message = f"{training.batch_size} is more than the {rows} rows of the training part: at most {rows}"
        errors.append(FieldError("training.batch_size", message))
    try:
        network = build(spec.network, data.input_shapes, training=True)
        check_labels(data, network)
        check_indices(data, network)
        errors += _too_small(network, training.batch_size, microbatches)
        initial = _initial_weights(spec, network, jobs, files, kept)
    except InvalidSpec as invalid:
        errors += invalid.errors
    if errors:
        raise InvalidSpec(errors)
    every = spec.monitoring.gradient_health_every
    schedule = Schedule(rows, data.test.rows, training.epochs, training.batch_size, microbatches, every)
    return Prepared(spec, data, network, schedule, initial)


def _too_small(network: Network, batch_size: int, microbatches: int) -> list[FieldError]:
    """Microbatches with fewer rows than a layer can train on."""
    demanding = max(network.layers, key=lambda layer: layer.least_rows)
    least, rows = demanding.least_rows, batch_size // microbatches
    if rows >= least:
        return []
    text = f"{microbatches} of {batch_size} samples have {rows} row, {demanding.name} needs {least} for a variance"
    return [FieldError("training.microbatches", f"{text}: batch_size has to be {least} times as large or more")]


def check(spec: JobSpec, dataset: Path, *, jobs: Path | None = None) -> None:
    """Find what `prepare` would find."""
    prepare(spec, dataset, jobs=jobs)


def _initial_weights(
    spec: JobSpec, network: Network, jobs: Path | None, files: Path | None, kept: Path | None
) -> Path | None:
    told = spec.training.initial_weights
    if not told:
        return None
    path = kept if kept is not None and kept.is_file() else find_weights(told, jobs=jobs, files=files)
    if problem := weights_problem(network, path):
        raise InvalidSpec([FieldError(FIELD, f"{told} {problem}")])
    if kept is not None and path != kept:
        keep_weights(path, kept)
    return kept or path
