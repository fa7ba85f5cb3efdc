"""Data larger than the memory: the preparation of a CSV file within a limit, and training from a file.

The preparation finds that its process may have 512 MiB; measured is its resident memory that lies in no file, which the
kernel cannot take back. Training is that of
784-512-512-10 with two workers, each of which may have less memory of its own (RLIMIT_DATA) than the data set takes.
"""

import multiprocessing
import os
import resource
import threading
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from comparison import Comparison, Measurement, Options, print_document
from members import members
from workload import BATCH, WORKERS, job

from raydient.server.embedded import train
from raydient.server.training.preparation import prepare
from raydient.server.training.reports import Outcome, Progress, Report
from raydient.spec.job import JobSpec
from raydient.workers.data import limits

PREPARED_MIB, MOST_WAITING_PERCENT, MOST_GROWTH_MB = 512, 3.0, 8.0
COLUMNS, ROWS, BLOCK_ROWS = 28, 4_200_000, 100_000
SAMPLES = 150_000
WORKER_ROOM_MB = 64
PREPARING, TRAINING = "preparation", "training"


def write_csv(path: Path, rows: int) -> None:
    generator = np.random.default_rng(0)
    names = [f"f{i}" for i in range(COLUMNS)]
    schema = pa.schema([*((name, pa.float64()) for name in names), ("y", pa.int64())])
    with pa_csv.CSVWriter(path, schema) as writer:
        for start in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - start)
            columns = [generator.standard_normal(count).round(5) for _ in names]
            writer.write_table(pa.table([*columns, generator.integers(0, 10, count)], schema=schema))


def memory_mb(process: int | str = "self") -> float:
    """Return the memory of a process that lies in no file."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1e6


def prepare_within(path: Path, limit: int, answers: "multiprocessing.Queue[Measurement]") -> None:
    os.environ["XDG_CACHE_HOME"] = mkdtemp(dir=path.parent)
    own = 1e6 * memory_mb()
    limits.available_bytes = lambda: int(limit - own)
    spec = JobSpec.model_validate(
        {
            "dataset": {"uri": path.name, "label": "y", "standardize": True},
            "network": {"layers": [{"dense": {"units": 10}}], "loss": "softmax_cross_entropy"},
            "training": {"epochs": 1, "batch_size": 128, "optimizer": "adam"},
        }
    )
    most, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], memory_mb())

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.perf_counter()
    try:
        prepared = prepare(spec, path, folder=path.parent)
    finally:
        ended.set()
        watching.join()
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    prepare(spec, path, folder=path.parent)
    again = time.perf_counter() - began
    size = path.stat().st_size / 1e6
    in_files = prepared.dataset.folder is not None
    answers.put(
        {"csv_mb": size, "seconds": seconds, "again_seconds": again, "most_mb": most[0], "in_files": float(in_files)}
    )


def preparation(path: Path, limit: int) -> Measurement:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[Measurement] = context.Queue()
    process = context.Process(target=prepare_within, args=(path, limit, answers))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"the preparation ended with status {process.exitcode}")
    return answers.get()


def training(data: Path, epochs: int) -> Measurement:
    """Train on a set that lies in a file, with a limit on the workers' own memory from their first report on."""
    progress: list[Progress] = []
    memory: dict[int, list[float]] = {}

    def hear(report: Report) -> None:
        if isinstance(report, Progress) and report.step:
            progress.append(report)
            for process in members("worker"):
                if process not in memory:
                    lines = Path(f"/proc/{process}/status").read_text().splitlines()
                    own = next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:"))
                    limit = own + WORKER_ROOM_MB * 10**6
                    resource.prlimit(process, resource.RLIMIT_DATA, (limit, limit))
                memory.setdefault(process, []).append(memory_mb(process))

    spec = job(data, WORKERS, epochs=epochs)
    share, limits.NUMBERS_SHARE = limits.NUMBERS_SHARE, 0.0
    try:
        os.environ["RAYDIENT_CACHE_GIB"] = "0"
        with TemporaryDirectory(prefix="raydient-benchmark-", dir=data.parent) as directory:
            finished = train(spec, data, directory=Path(directory), report=hear)
    finally:
        limits.NUMBERS_SHARE = share
    if finished.outcome is not Outcome.SUCCEEDED or len(memory) != WORKERS:
        raise RuntimeError(f"training did not go through undisturbed: {finished.message or memory}")
    first, last = progress[min(1, len(progress) - 1)], progress[-1]
    begin, end = first.measurements, last.measurements
    waited = (end.phase_seconds["data"] - begin.phase_seconds["data"]) / WORKERS
    whole = end.step_seconds_sum - begin.step_seconds_sum
    return {
        "data_mb": data.stat().st_size / 1e6,
        "step_ms": 1e3 * whole / max(1, last.step - first.step),
        "waiting_percent": 100 * waited / whole if whole else 0.0,
        "growth_mb": max(several[-1] - several[len(several) // 4] for several in memory.values()),
    }


def main() -> None:
    options = Options.parse(__doc__, 1)
    with TemporaryDirectory(prefix="raydient-benchmark-", dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        table, data = Path(name) / "table.csv", Path(name) / "random.npz"
        write_csv(table, options.size(ROWS, 500))
        generator = np.random.default_rng(0)
        samples = options.size(SAMPLES, 4 * BATCH)
        np.savez(data, x=generator.random((samples, 784), dtype=np.float32), y=generator.integers(0, 10, samples))
        contenders = {
            PREPARING: partial(preparation, table, PREPARED_MIB << 20),
            TRAINING: partial(training, data, options.size(2, 20)),
        }
        comparison = Comparison(options, contenders)
        comparison.run()
    memory = comparison.median(PREPARING, "most_mb")
    waiting, growth = (comparison.median(TRAINING, name) for name in ("waiting_percent", "growth_mb"))
    print_document(
        comparison.document(
            "large_data",
            at_most_mib=PREPARED_MIB,
            at_most_waiting_percent=MOST_WAITING_PERCENT,
            at_most_growth_mb=MOST_GROWTH_MB,
            kept=memory <= PREPARED_MIB * 2**20 / 1e6 and waiting <= MOST_WAITING_PERCENT and growth <= MOST_GROWTH_MB,
        )
    )


if __name__ == "__main__":
    main()
