"""Estimates the memory of a job from network, batch and data before any of it is allocated.

The estimate counts the arrays whose size depends on the job, and the interpreters with their modules. It does not count
the values of a data file while they are read, which the reader itself bounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raydient.server.parameters.consistency import slots_of
from raydient.server.parameters.snapshots import division
from raydient.spec.errors import FieldError
from raydient.spec.phrases import counted
from raydient.spec.training import Training
from raydient.steps.encoded import NONE, Coding
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Layout
from raydient.steps.local import LocalSteps
from raydient.steps.ranges import Range
from raydient.steps.schedule import Schedule
from raydient.steps.scores import SCORE
from raydient.wire.terms import Terms
from raydient.workers.data.limits import size_text
from raydient.workers.network import Network, program_bytes

INTERPRETER_BYTES = 80 << 20
"""Python, NumPy and raydient's modules, in a worker or parameter server."""
COORDINATOR_BYTES = 200 << 20
"""Interpreter and modules of a coordinator, which reads data and writes models."""
COPIES = 3
"""Copies of weights and optimizer state in a coordinator that takes a checkpoint: received, as tensors, as a file."""
RANK_BYTES = 32
"""Most bytes a row while the scores of one column are ranked: sorted scores, and places and quotients of each."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by process. Workers on one machine share the data.

    Attributes:
        data: the training part and the held-out part as arrays.
        worker: one worker, without the data.
        parameter_server: the largest parameter server, with the scores of metrics that rank rows.
        coordinator: the coordinator while it takes a checkpoint, with its copy of the data.
        parameter_servers: number of parameter servers, not bytes.
        parameter_servers_together: all parameter servers; on one machine they map each other's weights once.
        residuals: those of all leaves. A worker may have them three times: those at which it begins, its own, and what
            it sends. On one machine all workers together have them once, besides the coordinator's.
        in_file: the data lie in a file, and take no memory that the kernel could not take back.
    """

    data: int
    worker: int
    parameter_server: int
    coordinator: int
    parameter_servers: int
    parameter_servers_together: int
    residuals: int = 0
    in_file: bool = False

    def on_one_machine(self, workers: int) -> int:
        """Return the bytes of all processes of the job."""
        together = workers * (self.worker - 3 * self.residuals) + self.residuals
        data = 0 if self.in_file else self.data
        return data + together + self.parameter_servers_together + self.coordinator


def values_of(training: Training, layout: Layout) -> int:
    """Return the number of values that parameter servers hold: the weights, and the vectors kept beside them."""
    return _values(division(training, layout, [(0, layout.size)])[0])


def _values(held: Mapping[str, Range]) -> int:
    return sum(stop - start for start, stop in held.values())


def estimate(
    network: Network,
    schedule: Schedule,
    ranges: Sequence[Range],
    training: Training,
    data_bytes: int,
    *,
    codec: str = NONE,
    in_file: bool = False,
) -> MemoryEstimate:
    """Estimate the memory of a job with `data_bytes` of samples in both parts.

    `ranges` are those of the parameter servers; `codec` is the name of that of the gradients, see `Coding`;
    `in_file`: the samples lie in a file.
    """
    layout, consistency = network.layout, training.consistency
    local_steps, held = consistency.local_steps, list(map(_values, division(training, layout, ranges)))
    rows = set(LocalSteps.of(schedule, local_steps).shape_rows(schedule))
    if schedule.test_rows:
        evaluation = schedule.round(min(schedule.steps_per_epoch, schedule.steps))
        rows |= {stop - start for start, stop in map(evaluation.leaf, range(evaluation.leaves)[-2:])}
    units = sum(layer.rectified_units for layer in network.layers)
    terms = Terms(GradientLayout.of(layout, units), slots_of(schedule, consistency), network.sums)
    coding = Coding.of(codec, layout, units)
    encoded = 0 if coding is None else coding.buffer_bytes
    leaves = schedule.round(0).leaves if coding is not None and coding.codec.feeds_back else 0
    residuals = 4 * leaves * layout.size
    programs = sum(program_bytes(network, count) for count in rows)
    own = 8 * layout.size if local_steps > 1 else 0  # weights and gradient of a learner
    own += 4 * layout.size if consistency.is_stale else 0  # a copy of the weights
    ranked = ranking_bytes(len(network.ranks), schedule) if network.ranks else 0
    scored = SCORE.itemsize * len(network.ranks)  # bytes a row
    own += 2 * scored * max(schedule.batch_size, schedule.test_rows)  # by leaf, then together
    return MemoryEstimate(
        data=data_bytes,
        worker=INTERPRETER_BYTES + programs + own + terms.slots_bytes + encoded + 3 * residuals,
        parameter_server=INTERPRETER_BYTES + 4 * max(held) + ranked,
        coordinator=COORDINATOR_BYTES
        + (0 if in_file else data_bytes)
        + COPIES * (4 * sum(held) + scored * schedule.train_rows)
        + (COPIES + 1) * residuals,
        parameter_servers=len(ranges),
        parameter_servers_together=len(ranges) * INTERPRETER_BYTES + 4 * sum(held) + ranked,
        residuals=residuals,
        in_file=in_file,
    )


def ranking_bytes(columns: int, schedule: Schedule) -> int:
    """Return the most bytes that the first parameter server needs to rank the rows of an epoch.

    It has the scores of both parts and, while one part is ranked, a contiguous copy of its scores.
    """
    largest = max(schedule.train_rows, schedule.test_rows)
    return SCORE.itemsize * columns * (schedule.train_rows + schedule.test_rows + largest) + RANK_BYTES * largest


def listed(memory: MemoryEstimate, workers: int) -> str:
    """Format the estimate as text: `data 3.5 MiB, 2 workers 82.1 MiB each, ...`."""
    each = f"{counted(workers, 'worker')} {size_text(memory.worker)}{' each' if workers > 1 else ''}"
    servers = f"parameter server {size_text(memory.parameter_server)}"
    if memory.parameter_servers > 1:
        together, largest = size_text(memory.parameter_servers_together), size_text(memory.parameter_server)
        servers = f"{memory.parameter_servers} parameter servers {together} together (the largest {largest})"
    data = f"data {size_text(memory.data)}{' in a file' if memory.in_file else ''}"
    return f"{data}, {each}, {servers}, coordinator {size_text(memory.coordinator)}"


def too_large(memory: MemoryEstimate, workers: int, total: int) -> FieldError | None:
    """Return the error of a job whose least number of workers does not fit `total` bytes; None if it fits.

    Data do not count, because those that do not fit lie in files.
    """
    in_memory = 0 if memory.in_file else 2 * memory.data  # the coordinator has them once more
    needed = memory.on_one_machine(workers) - in_memory
    if needed <= total:
        return None
    text = f"the job takes about {size_text(needed)} of memory besides its data, the machine has {size_text(total)}"
    text += f" ({listed(memory, workers)})"
    fewer = "another codec, fewer" if memory.residuals else "fewer workers, smaller"
    remedy = f"{fewer} microbatches or a smaller network take less"
    return FieldError("resources", f"{text}: {remedy}")
