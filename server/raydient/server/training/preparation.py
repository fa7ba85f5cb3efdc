"""Prepares a job from its specification and its data file; finds every invalid input before anything starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raydient.server.parameters.snapshots import division
from raydient.spec.advice import network_warnings
from raydient.spec.amending import amended_training
from raydient.spec.errors import FieldError, InvalidSpec, collecting
from raydient.spec.job import JobSpec
from raydient.spec.links import broken_links
from raydient.spec.patterns import DataPath
from raydient.spec.sources import FURTHER
from raydient.steps.amendments import Amendment
from raydient.steps.ranges import Range
from raydient.steps.residuals import residual_names
from raydient.steps.schedule import Schedule, default_microbatches
from raydient.workers.data import Dataset, InvalidData, Profile, check_indices, check_labels, check_weights, load, look
from raydient.workers.network import Network, build, check_structure, label_scalings

from .augmentation_problems import augmentation_problems
from .balance import balance_problems, balanced
from .decay_problems import decay_problems
from .exchange_problems import exchange_problems
from .initial_weights import Start, find_start
from .local_problems import local_problems
from .machine import machine_problems
from .memory import MemoryEstimate, estimate, too_large, values_of
from .metric_warnings import metric_warnings
from .monitored import monitor_problems
from .rate_problems import rate_problems
from .servers import shard_ranges
from .table_problems import table_problems

MOST_SHARES = 1024
"""Microbatches of a step, over all its batches."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that fits its data.

    Attributes:
        ranges: range of weights of each parameter server.
        initial_weights: file of the model that training starts from, if there is one.
        taken: the parameters that begin as in that file, with their names there.
    """

    spec: JobSpec
    dataset: Dataset
    network: Network
    schedule: Schedule
    ranges: Sequence[Range]
    memory: MemoryEstimate
    initial_weights: Path | None = None
    taken: Mapping[str, str] = field(default_factory=dict)

    @property
    def division(self) -> Sequence[Mapping[str, Range]]:
        """The range of each vector that each parameter server holds."""
        return division(self.spec.training, self.network.layout, self.ranges)

    @property
    def warnings(self) -> list[FieldError]:
        """Warnings about settings that are valid and almost always mistakes, alone or with the data."""
        return [*network_warnings(self.spec.network), *metric_warnings(self.network, self.dataset)]

    @property
    def residuals(self) -> Sequence[str]:
        """Names of the residuals of a step's leaves; none unless the codec feeds back."""
        return residual_names(self.schedule.round(0).leaves if self.spec.exchange.codec.feeds_back else 0)

    def amended(self, amendments: Sequence[Amendment]) -> "Prepared":
        """Return the job with these amendments in force; data, network and ranges stay."""
        if not amendments:
            return self
        training = amended_training(self.spec.training, *(amendment.settings for amendment in amendments))
        spec = self.spec.model_copy(update={"training": training})
        return replace(self, spec=spec, schedule=self.schedule.lasting(training.epochs, training.max_steps))


def prepare(
    spec: JobSpec,
    dataset: DataPath,
    *,
    validation: DataPath | None = None,
    jobs: Path | None = None,
    files: Path | None = None,
    kept: Path | None = None,
    memory_bytes: int | None = None,
    folder: Path | None = None,
    learn: Callable[[Profile], None] = lambda profile: None,
) -> Prepared:
    """Read the data, build the network on it and lay out the rounds.

    Args:
        spec: the job's specification.
        dataset: the data file or files.
        validation: the file of `dataset.validation.uri`, if there is one.
        jobs, files: where to look for initial weights, see `find_weights`.
        kept: file that keeps the initial weights; used first if it exists, so that the job does not depend on the
            other job any more.
        memory_bytes: memory of the one machine that all processes run on; a job that takes more is refused. None:
            not compared.
        folder: of the files for data larger than the memory, see `Budget`.
        learn: receives the facts about the data if its values are valid, also if something else is invalid.

    Raises:
        InvalidSpec: lists every broken rule that one pass can find; nothing has been started or written.
    """
    errors: list[FieldError] = []
    start: Start | None = None
    errors += machine_problems(spec)
    with collecting(errors):
        start = find_start(spec.training.initial_weights, jobs=jobs, files=files, kept=kept)
    data, facts = _read(spec, (dataset, validation), start, folder, errors)
    if data is not None:
        learn(facts)
    network = _fit(spec, facts, errors)
    if start and network is not None:
        errors += start.problems(network, data)
    if errors or network is None or data is None:
        raise InvalidSpec(errors)
    weighed, scalings = balanced(spec.network, network, data), label_scalings(data.targets)
    if weighed is not spec.network or scalings:
        spec = spec.model_copy(update={"network": weighed})
        network = build(weighed, data.input_shapes, training=True, scalings=scalings)
    schedule, divided, memory = _lay_out(spec, network, facts, memory_bytes, in_file=data.folder is not None)
    taken = start.taken(network) if start else {}
    initial = start.keep(kept) if start else None
    return Prepared(spec, data, network, schedule, divided, memory, initial, taken)


def check(
    spec: JobSpec,
    dataset: DataPath,
    *,
    validation: DataPath | None = None,
    jobs: Path | None = None,
    kept: Path | None = None,
    memory_bytes: int | None = None,
    profile: Profile | None = None,
    learn: Callable[[Profile], None] = lambda profile: None,
) -> None:
    """Validate only; raise what `prepare` raises.

    Args:
        spec: the job's specification.
        dataset: the data file or files.
        validation, jobs, kept, memory_bytes: see `prepare`.
        profile: facts about the data from an earlier check of the same content with the same `reading`. The file is
            read again only if a loss encodes labels in another way than those before, or for
            `training.initial_weights`, whose categories and classes are compared with those of the data.
        learn: receives the facts about the data, with those of `profile`, if the file is read and its values are
            valid; also if something else is invalid.
    """
    if spec.training.initial_weights:
        prepare(spec, dataset, validation=validation, jobs=jobs, kept=kept, memory_bytes=memory_bytes, folder=jobs)
    elif profile is None or not profile.covers(spec.network.named_outputs):
        known = profile.labels if profile else {}
        prepare(
            spec,
            dataset,
            validation=validation,
            memory_bytes=memory_bytes,
            folder=jobs,
            learn=lambda facts: learn(replace(facts, labels={**known, **facts.labels})),
        )
    else:
        errors = machine_problems(spec)
        network = _fit(spec, profile, errors)
        if errors or network is None:
            raise InvalidSpec(errors)
        _lay_out(spec, network, profile, memory_bytes)


def reading(spec: JobSpec) -> dict[str, Any]:
    """Return the parts of a specification that decide how its files are read and prepared, besides the losses."""
    others = ("uri", FURTHER, "augment")  # workers augment prepared samples
    dataset = {name: value for name, value in spec.canonical()["dataset"].items() if name not in others}
    if spec.dataset.validation:
        dataset["validation"] = spec.dataset.validation.arrays
    return {"dataset": dataset, "seed": spec.training.seed}


def find_errors(parts: Mapping[str, Any], dataset: DataPath, validation: DataPath | None = None) -> list[FieldError]:
    """Find further errors of a job that has invalid sections, by reading the data with its valid sections.

    Args:
        parts: the valid sections of a `JobSpec`, the dataset among them, by name.
        dataset, validation: the data files, see `prepare`; they may be absent.
    """
    job = JobSpec(**parts) if "network" in parts else None
    if job is None or any(broken_links(job)):
        return look(parts["dataset"], dataset, validation)
    try:
        check(job, dataset, validation=validation)
    except InvalidSpec as invalid:
        fields = JobSpec.model_fields.keys() - parts.keys()
        return [error for error in invalid.errors if error.path.partition(".")[0] not in fields]
    return []


def _read(
    spec: JobSpec,
    files: tuple[DataPath, DataPath | None],
    start: Start | None,
    folder: Path | None,
    errors: list[FieldError],
) -> tuple[Dataset | None, Profile]:
    """Return the data, None if it has errors, and the facts about it. Its errors are added to `errors`."""
    outputs, (dataset, validation) = spec.network.named_outputs, files
    try:
        first = start.signature if start else None
        data = load(spec.dataset, dataset, outputs, spec.training.seed, first, validation=validation, folder=folder)
    except InvalidData as invalid:
        errors += invalid.errors
        return None, invalid.profile
    return data, Profile.of(data, outputs)


def _fit(spec: JobSpec, facts: Profile, errors: list[FieldError]) -> Network | None:
    """Build the network on the data and compare both with the batch. Errors are added to `errors`."""
    training, rows = spec.training, facts.train_rows
    if rows and training.batch_size > rows:
        message = f"{training.batch_size} is more than the {rows} rows of the training part: at most {rows}"
        errors.append(FieldError("training.batch_size", message))
    elif rows and training.accumulate > 1:
        errors += _too_many_batches(training.accumulate, training.batch_size, _microbatches(spec), rows)
    network = _network(spec, facts, errors)
    if network is not None:
        errors += local_problems(training, network.layout, rows)
        errors += _too_small(network, training.batch_size, _microbatches(spec))
        errors += balance_problems(network)
        errors += augmentation_problems(spec.dataset, network)
        errors += monitor_problems(training, network, facts.test_rows)
        errors += exchange_problems(spec.exchange, training, network.layout)
    return network


def _network(spec: JobSpec, facts: Profile, errors: list[FieldError]) -> Network | None:
    """Build the network. Its errors, alone or with the data, are added to `errors`."""
    if facts.input_shapes is None:
        with collecting(errors):
            check_structure(spec.network, spec.dataset.input_names)
        return None
    with collecting(errors):
        network = build(spec.network, facts.input_shapes, training=True)
        fine = len(errors)
        with collecting(errors):
            check_labels(facts, network)
        with collecting(errors):
            check_indices(facts, network)
        if len(errors) == fine:
            check_weights(facts, network)
        return network
    return None


def _lay_out(
    spec: JobSpec, network: Network, facts: Profile, memory_bytes: int | None, *, in_file: bool = False
) -> tuple[Schedule, Sequence[Range], MemoryEstimate]:
    """Return the rounds of a job that fits its data, the ranges of its parameter servers and the memory that it takes.

    Raises:
        InvalidSpec: it takes more than `memory_bytes`, has more parameter servers than its network has pieces, a
            schedule of the learning rate that does not fit its length, or a weight decay or an optimizer that does not
            fit its network.
    """
    training, rows, every = spec.training, facts.train_rows or 0, spec.monitoring.gradient_health_every
    # A step of several batches is one of a larger batch with as many more shares: the mean over all their samples.
    # One of local steps has as many shares as a batch, each with its part of all batches.
    batches, shares = training.accumulate * training.consistency.local_steps, training.accumulate * _microbatches(spec)
    batch = batches * training.batch_size
    whole = Schedule(rows, facts.test_rows, training.epochs, batch, shares, every)
    schedule = whole.lasting(training.epochs, training.max_steps)
    if problems := [
        *rate_problems(training, schedule),
        *decay_problems(training, network.layout),
        *table_problems(training, network.layout),
    ]:
        raise InvalidSpec(problems)
    values = values_of(training, network.layout)
    divided = shard_ranges(network.layout, values, spec.resources.parameter_servers)
    data_bytes, codec = facts.size_bytes(spec.network.named_outputs), spec.exchange.codec.name
    memory = estimate(network, schedule, divided, training, data_bytes, codec=codec, in_file=in_file)
    if memory_bytes is not None and (problem := too_large(memory, spec.resources.workers.min, memory_bytes)):
        raise InvalidSpec([problem])
    return schedule, divided, memory


def _microbatches(spec: JobSpec) -> int:
    return spec.training.microbatches or default_microbatches(spec.training.batch_size)


def _too_many_batches(accumulate: int, batch_size: int, microbatches: int, rows: int) -> list[FieldError]:
    """Return an error if the batches of a step have more samples than an epoch, or too many microbatches."""
    message, shares = "", accumulate * microbatches
    if accumulate * batch_size > rows:
        most = rows // batch_size
        message = (
            f"{accumulate} batches of {batch_size} are more than the {rows} rows of the training part: at most {most}"
        )
    elif shares > MOST_SHARES:
        message = f"{accumulate} batches of {microbatches} microbatches are {shares} in a step: at most {MOST_SHARES}"
    return [FieldError("training.accumulate", message)] if message else []


def _too_small(network: Network, batch_size: int, microbatches: int) -> list[FieldError]:
    """Return an error if a microbatch has fewer rows than a layer needs for training."""
    demanding = max(network.layers, key=lambda layer: layer.least_rows)
    least, rows = demanding.least_rows, batch_size // microbatches
    if rows >= least:
        return []
    text = f"{microbatches} of {batch_size} samples have {rows} row, {demanding.name} needs {least} for a variance"
    return [FieldError("training.microbatches", f"{text}: batch_size has to be {least} times as large or more")]
