"""Estimates the memory of a job from network, batch and data before any of it is allocated.

The estimate counts the arrays whose size depends on the job, and the interpreters with their modules. It does not count
the values of a data file while they are read, which the reader itself bounds.
"""

from dataclasses import dataclass

from raydient.server.parameters.optimizers import build_rule
from raydient.spec.errors import FieldError
from raydient.spec.job import Optimizer
from raydient.spec.phrases import counted
from raydient.steps.gradient import GradientLayout
from raydient.steps.schedule import Schedule
from raydient.wire.terms import Terms
from raydient.workers.data.limits import size_text
from raydient.workers.network import Network, program_bytes

INTERPRETER_BYTES = 80 << 20
"""Python, NumPy and raydient's modules, in a worker or parameter server."""
COORDINATOR_BYTES = 200 << 20
"""Interpreter and modules of a coordinator, which reads data and writes models."""
COPIES = 3
"""Copies of weights and optimizer state in a coordinator that takes a checkpoint: received, as tensors, as a file."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by process. Workers on one machine share the data.

    Attributes:
        data: the training part and the held-out part as arrays.
        worker: one worker, without the data.
        parameter_server: the parameter server.
        coordinator: the coordinator while it takes a checkpoint, with its copy of the data.
    """

    data: int
    worker: int
    parameter_server: int
    coordinator: int

    def on_one_machine(self, workers: int) -> int:
        """Return the bytes of all processes of the job."""
        return self.data + workers * self.worker + self.parameter_server + self.coordinator


def estimate(optimizer: Optimizer, network: Network, schedule: Schedule, data_bytes: int) -> MemoryEstimate:
    """Estimate the memory of a job with `data_bytes` of samples in both parts."""
    layout = network.layout
    state = len(build_rule(optimizer.kind, optimizer.value.model_dump()).optimizer.state)
    vectors = 4 * layout.size * (1 + state)
    rows = set(schedule.shape_rows())
    if schedule.test_rows:
        evaluation = schedule.round(schedule.steps_per_epoch)
        rows |= {stop - start for start, stop in map(evaluation.leaf, range(evaluation.leaves)[-2:])}
    units = sum(layer.rectified_units for layer in network.layers)
    terms = Terms(GradientLayout.of(layout, units), schedule.microbatches, network.sums)
    programs = sum(program_bytes(network, count) for count in rows)
    return MemoryEstimate(
        data=data_bytes,
        worker=INTERPRETER_BYTES + programs + terms.slots_bytes,
        parameter_server=INTERPRETER_BYTES + vectors,
        coordinator=COORDINATOR_BYTES + data_bytes + COPIES * vectors,
    )


def listed(memory: MemoryEstimate, workers: int) -> str:
    """Format the estimate as text: `data 3.5 MiB, 2 workers 82.1 MiB each, ...`."""
    each = f"{counted(workers, 'worker')} {size_text(memory.worker)}{' each' if workers > 1 else ''}"
    rest = f"parameter server {size_text(memory.parameter_server)}, coordinator {size_text(memory.coordinator)}"
    return f"data {size_text(memory.data)}, {each}, {rest}"


def too_large(memory: MemoryEstimate, workers: int, total: int) -> FieldError | None:
    """Return the error of a job whose least number of workers does not fit `total` bytes; None if it fits."""
    needed = memory.on_one_machine(workers)
    if needed <= total:
        return None
    text = f"the job takes about {size_text(needed)} of memory, the machine has {size_text(total)}"
    text += f" ({listed(memory, workers)})"
    remedy = "fewer workers, smaller microbatches, a smaller network or fewer columns take less"
    return FieldError("resources", f"{text}: {remedy}")
