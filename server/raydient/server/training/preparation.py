"""From a specification and a data file to what training starts with; here every wrong input is found."""

from dataclasses import dataclass
from pathlib import Path

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.wire.schedule import Schedule, default_microbatches
from raydient.workers.data import Dataset, check_indices, check_labels, load
from raydient.workers.network import Network, build


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that fits its data."""

    spec: JobSpec
    dataset: Dataset
    network: Network
    schedule: Schedule


def prepare(spec: JobSpec, dataset: Path) -> Prepared:
    """Read the data, build the network on it and lay out the rounds.

    Raises:
        InvalidSpec: with every rule broken that can be known at once; nothing has been started or written.
    """
    training = spec.training
    data = load(spec.dataset, dataset, spec.network.named_outputs, training.seed)
    errors: list[FieldError] = []
    rows = data.train.rows
    if training.batch_size > rows:
        message = f"{training.batch_size} is more than the {rows} rows of the training part: at most {rows}"
        errors.append(FieldError("training.batch_size", message))
    try:
        network = build(spec.network, data.input_shapes, training=True)
        check_labels(data, network)
        check_indices(data, network)
    except InvalidSpec as invalid:
        errors += invalid.errors
    if errors:
        raise InvalidSpec(errors)
    microbatches = training.microbatches or default_microbatches(training.batch_size)
    every = spec.monitoring.gradient_health_every
    schedule = Schedule(rows, data.test.rows, training.epochs, training.batch_size, microbatches, every)
    return Prepared(spec, data, network, schedule)


def check(spec: JobSpec, dataset: Path) -> None:
    """Find what `prepare` would find."""
    prepare(spec, dataset)
