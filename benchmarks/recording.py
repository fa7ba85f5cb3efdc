"""The cost of recording the order of arrival: 784-512-512-10, two workers, asynchronous training.

Recorded are the pushes of each step, one for each of two workers, as the conductor does it; with every thousandth step
they are packed, as for a snapshot, and made durable. The training is measured beside it.
"""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from comparison import Comparison, Measurement, Options, print_document, rounded
from workload import BATCH, EPOCHS, FEWEST_EPOCHS, WORKERS, job, pace_of_training, write_data

from raydient.server.parameters.assignments import Assignments
from raydient.server.parameters.opened import Opened
from raydient.server.parameters.position import Position
from raydient.server.training.order_record import FOLDER, OrderRecord
from raydient.spec.consistency import Consistency
from raydient.spec.job import JobSpec
from raydient.steps.order import pack
from raydient.steps.schedule import Schedule

STEPS, STEPS_PER_SNAPSHOT = 10_000, 1_000
MOST_PERCENT, BYTES_PER_PUSH = 1.0, 16
RECORDING, TRAINING = "recording", "asynchronous training"


def record(steps: int, between: int) -> Measurement:
    """Record the pushes of steps, and return the time of one step and the bytes of a push."""
    schedule = Schedule(
        train_rows=steps * BATCH, test_rows=0, epochs=1, batch_size=BATCH, microbatches=WORKERS, max_steps=steps
    )
    position = Position(0, 0, np.zeros(1))
    opened = []
    for number in range(steps):
        one = Opened(schedule.round(number), Assignments(WORKERS))
        for leaf in range(WORKERS):
            one.sums[leaf, leaf + 1], one.versions[leaf] = np.zeros(1), max(0, number - 1)
        opened.append(one)
    with TemporaryDirectory(prefix="raydient-benchmark-") as folder:
        log = OrderRecord(Path(folder))
        began = time.perf_counter()
        for step, one in enumerate(opened, 1):
            position.note(one.arrivals())
            position.step = step
            if step % between == 0:
                log.add(step, pack(position.arrivals))
                log.sync(step)
                position.arrivals = []
        seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in (Path(folder) / FOLDER).iterdir())
    return {"step_us": 1e6 * seconds / steps, "bytes_per_push": size / (WORKERS * steps)}


def asynchronous(data: Path, epochs: int) -> JobSpec:
    spec = job(data, WORKERS, epochs=epochs)
    consistency = Consistency.model_validate("asynchronous")
    return spec.model_copy(update={"training": spec.training.model_copy(update={"consistency": consistency})})


def train(data: Path, epochs: int) -> Measurement:
    return {"step_us": 1e3 * pace_of_training(asynchronous(data, epochs), data).step_ms}


def main() -> None:
    options = Options.parse(__doc__, 5)
    epochs, between = options.size(EPOCHS, FEWEST_EPOCHS), options.size(STEPS_PER_SNAPSHOT, 10)
    with TemporaryDirectory(prefix="raydient-benchmark-") as folder:
        data = Path(folder) / "data.npz"
        write_data(data)
        steps = options.size(STEPS, 2 * between)
        contenders = {RECORDING: partial(record, steps, between), TRAINING: partial(train, data, epochs)}
        comparison = Comparison(options, contenders)
        comparison.run()
    recording, training = (comparison.median(name, "step_us") for name in (RECORDING, TRAINING))
    percent, size = 100 * recording / training, comparison.median(RECORDING, "bytes_per_push")
    print_document(
        comparison.document(
            "recording",
            percent_of_a_step=rounded(percent),
            at_most_percent=MOST_PERCENT,
            at_most_bytes_per_push=BYTES_PER_PUSH,
            kept=percent <= MOST_PERCENT and size <= BYTES_PER_PUSH,
        )
    )


if __name__ == "__main__":
    main()
