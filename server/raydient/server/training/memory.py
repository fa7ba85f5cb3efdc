"""Memory that a job takes, estimated from network, batch and data before anything of it is allocated.

Counted are arrays whose size the job decides, and what an interpreter takes with our modules. Not counted are the
values of a data file while they are read, which the reader itself bounds.
"""

from dataclasses import dataclass
from math import prod

from raydient.server.parameters.optimizers import build_optimizer
from raydient.spec.errors import FieldError
from raydient.spec.job import Optimizer
from raydient.spec.phrases import counted
from raydient.wire.channel import Terms
from raydient.wire.schedule import EVALUATION_BLOCK_ROWS, Schedule
from raydient.wire.sparse import tables_of
from raydient.workers.data import Dataset
from raydient.workers.data.limits import size_text
from raydient.workers.network import Network, program_bytes

INTERPRETER_BYTES = 80 << 20
"""Python, NumPy and ours, in a worker or parameter server."""
COORDINATOR_BYTES = 200 << 20
"""The same in a coordinator, which reads data and writes models."""
COPIES = 3
"""Of weights and optimizer state in a coordinator that takes a checkpoint: as they come, as tensors, as a file."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by process. On one machine the workers share the data.

    Attributes:
        data: both parts as training takes them.
        worker: one worker, without the data.
        parameter_server: the parameter server.
        coordinator: the coordinator while it takes a checkpoint, with its copy of the data.
    """

    data: int
    worker: int
    parameter_server: int
    coordinator: int

    def on_one_machine(self, workers: int) -> int:
        """Bytes of all processes of the job."""
        return self.data + workers * self.worker + self.parameter_server + self.coordinator


def estimate(optimizer: Optimizer, network: Network, schedule: Schedule, dataset: Dataset) -> MemoryEstimate:
    """The memory of a job that fits its data."""
    layout = network.layout
    state = len(build_optimizer(optimizer.kind, optimizer.value.model_dump()).state)
    vectors = 4 * layout.size * (1 + state)
    data = sum(array.nbytes for array in dataset.arrays().values())
    rows = set(schedule.shape_rows())
    if schedule.test_rows:
        last = schedule.test_rows % EVALUATION_BLOCK_ROWS
        rows |= {min(EVALUATION_BLOCK_ROWS, schedule.test_rows), *([last] if last else [])}
    units = sum(layer.rectified_units for layer in network.layers)
    terms = Terms(layout.size, schedule.microbatches, network.sums, units, tables_of(layout, layout.size + units))
    programs = sum(program_bytes(network, count) for count in rows)
    return MemoryEstimate(
        data=data,
        worker=INTERPRETER_BYTES + programs + 4 * prod(terms.slots_shape),
        parameter_server=INTERPRETER_BYTES + vectors,
        coordinator=COORDINATOR_BYTES + data + COPIES * vectors,
    )


def listed(found: MemoryEstimate, workers: int) -> str:
    """Where it goes, for people: `data 3.5 MiB, 2 workers 82.1 MiB each, ...`."""
    each = f"{counted(workers, 'worker')} {size_text(found.worker)}{' each' if workers > 1 else ''}"
    rest = f"parameter server {size_text(found.parameter_server)}, coordinator {size_text(found.coordinator)}"
    return f"data {size_text(found.data)}, {each}, {rest}"


def too_large(found: MemoryEstimate, workers: int, total: int) -> FieldError | None:
    """Why a job with at least so many workers does not fit a machine with `total` bytes of memory; None if it does."""
    needed = found.on_one_machine(workers)
    if needed <= total:
        return None
    text = f"the job takes about {size_text(needed)} of memory, the machine has {size_text(total)}"
    text += f" ({listed(found, workers)})"
    mend = "fewer workers, smaller microbatches, a smaller network or fewer columns take less"
    return FieldError("resources", f"{text}: {mend}")
