"""From a specification and a data file to what training starts with; here every wrong input is found."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.links import broken_links
from raydient.steps.schedule import Schedule, default_microbatches
from raydient.workers.data import Dataset, InvalidData, check_indices, check_labels, check_weights, load, look
from raydient.workers.network import Network, build, check_structure

from .initial_weights import Start, find_start
from .memory import MemoryEstimate, estimate, too_large


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that fits its data."""

    spec: JobSpec
    dataset: Dataset
    network: Network
    schedule: Schedule
    memory: MemoryEstimate
    initial_weights: Path | None = None


def prepare(
    spec: JobSpec,
    dataset: Path,
    *,
    jobs: Path | None = None,
    files: Path | None = None,
    kept: Path | None = None,
    memory_bytes: int | None = None,
) -> Prepared:
    """Read the data, build the network on it and lay out the rounds.

    Args:
        spec: the job's specification.
        dataset: the data file.
        jobs, files: where to look for initial weights, see `find_weights`.
        kept: file that keeps the initial weights; used first if it exists, so that the job does not depend on the
            other job any more.
        memory_bytes: memory of the one machine that all processes run on; a job that takes more is refused. None:
            not compared.

    Raises:
        InvalidSpec: with every rule broken that can be known at once; nothing has been started or written.
    """
    training = spec.training
    errors: list[FieldError] = []
    start: Start | None = None
    with _collecting(errors):
        start = find_start(training.initial_weights, jobs=jobs, files=files, kept=kept)
    data: Dataset | InvalidData
    try:
        scalings = start.signature.inputs if start and start.signature else {}
        data = load(spec.dataset, dataset, spec.network.named_outputs, training.seed, scalings)
    except InvalidData as invalid:
        data = invalid
        errors += invalid.errors
    microbatches = training.microbatches or default_microbatches(training.batch_size)
    rows = data.train_rows
    if rows and training.batch_size > rows:
        message = f"{training.batch_size} is more than the {rows} rows of the training part: at most {rows}"
        errors.append(FieldError("training.batch_size", message))
    network = _network(spec, data, errors)
    if network is not None:
        errors += _too_small(network, training.batch_size, microbatches)
        if start:
            errors += start.problems(network, data if isinstance(data, Dataset) else None)
    if errors or network is None or isinstance(data, InvalidData):
        raise InvalidSpec(errors)
    every = spec.monitoring.gradient_health_every
    schedule = Schedule(data.train_rows, data.test.rows, training.epochs, training.batch_size, microbatches, every)
    memory = estimate(training.optimizer, network, schedule, data)
    if memory_bytes is not None and (problem := too_large(memory, spec.resources.workers.min, memory_bytes)):
        raise InvalidSpec([problem])
    initial = start.keep(kept) if start else None
    return Prepared(spec, data, network, schedule, memory, initial)


def find_errors(parts: Mapping[str, Any], dataset: Path) -> list[FieldError]:
    """Find further errors of a job that has invalid sections, by reading the data with its valid sections.

    Args:
        parts: the valid sections of a `JobSpec`, the dataset among them, by name.
        dataset: the data file, which may be absent.
    """
    job = JobSpec(**parts) if "network" in parts else None
    if job is None or any(broken_links(job)):
        return look(parts["dataset"], dataset)
    try:
        check(job, dataset)
    except InvalidSpec as invalid:
        fields = JobSpec.model_fields.keys() - parts.keys()
        return [error for error in invalid.errors if error.path.partition(".")[0] not in fields]
    return []


@contextmanager
def _collecting(errors: list[FieldError]) -> Iterator[None]:
    """Add the errors of an InvalidSpec raised inside to `errors`."""
    try:
        yield
    except InvalidSpec as invalid:
        errors += invalid.errors


def _network(spec: JobSpec, data: Dataset | InvalidData, errors: list[FieldError]) -> Network | None:
    """Build the network. Its errors, alone or with the data, are added to `errors`."""
    if data.input_shapes is None:
        with _collecting(errors):
            check_structure(spec.network, spec.dataset.input_names)
        return None
    with _collecting(errors):
        network = build(spec.network, data.input_shapes, training=True)
        fine = len(errors)
        with _collecting(errors):
            check_labels(data.labels, network)
        if isinstance(data, Dataset):
            with _collecting(errors):
                check_indices(data, network)
            if len(errors) == fine:
                check_weights(data, network)
        return network
    return None


def _too_small(network: Network, batch_size: int, microbatches: int) -> list[FieldError]:
    """Microbatches with fewer rows than a layer can train on."""
    demanding = max(network.layers, key=lambda layer: layer.least_rows)
    least, rows = demanding.least_rows, batch_size // microbatches
    if rows >= least:
        return []
    text = f"{microbatches} of {batch_size} samples have {rows} row, {demanding.name} needs {least} for a variance"
    return [FieldError("training.microbatches", f"{text}: batch_size has to be {least} times as large or more")]


def check(spec: JobSpec, dataset: Path, *, jobs: Path | None = None, memory_bytes: int | None = None) -> None:
    """Validate only; raise what `prepare` raises."""
    prepare(spec, dataset, jobs=jobs, memory_bytes=memory_bytes)
