"""Reading a table: 28 columns of numbers and one of classes, as CSV and as Parquet, beside pyarrow.

Ours reads, checks every value and returns one matrix of numbers and the classes. pyarrow reads its own table with its
default settings; `with NumPy` makes the same matrix of it, without a check.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from comparison import Comparison, Measurement, Options, print_document

from raydient.spec.dataset import Dataset
from raydient.workers.data.formats import read

ROWS, COLUMNS, CLASSES = 400_000, 28, 10
LEAST_SHARE = 0.8
SPEED, OF_PROCESSOR = "mb_per_s", "mb_per_processor_second"


def write_tables(folder: Path, rows: int) -> None:
    generator = np.random.default_rng(0)
    columns = {f"f{i}": generator.standard_normal(rows).round(5) for i in range(COLUMNS)}
    columns["y"] = generator.integers(0, CLASSES, rows)
    table = pa.table(columns)
    pa_csv.write_csv(table, folder / "table.csv")
    pq.write_table(table, folder / "table.parquet")


def read_ours(path: Path) -> None:
    raw = read(Dataset(uri=path.name, label="y"), path, {"label"})
    if raw.inputs is None or raw.inputs["input"].values.shape[1] != COLUMNS:
        raise RuntimeError(f"{path.name} was not read")


def read_theirs(path: Path) -> pa.Table:
    return pa_csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)


def read_matrix(path: Path) -> None:
    table = read_theirs(path)
    np.stack([table.column(i).to_numpy() for i in range(COLUMNS)], axis=1)
    table.column(COLUMNS).to_numpy()


def timed(read_: Callable[[Path], object], path: Path) -> Measurement:
    began, used = time.perf_counter(), time.process_time()
    read_(path)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    megabytes = path.stat().st_size / 1e6
    return {SPEED: megabytes / seconds, OF_PROCESSOR: megabytes / processor, "seconds": seconds}


def main() -> None:
    options = Options.parse(__doc__, 5)
    ways = {"raydient": read_ours, "pyarrow": read_theirs, "pyarrow with NumPy": read_matrix}
    with TemporaryDirectory(prefix="raydient-benchmark-") as name:
        folder = Path(name)
        write_tables(folder, options.size(ROWS, 200))
        files = {"CSV": folder / "table.csv", "Parquet": folder / "table.parquet"}
        contenders = {f"{kind}, {way}": partial(timed, ways[way], path) for kind, path in files.items() for way in ways}
        comparison = Comparison(options, contenders)
        comparison.run()
    for kind in files:
        for peer in ("pyarrow with NumPy", "pyarrow"):
            comparison.ratio(SPEED, f"{kind}, raydient", f"{kind}, {peer}", at_least=LEAST_SHARE)
            comparison.ratio(OF_PROCESSOR, f"{kind}, raydient", f"{kind}, {peer}")
    print_document(comparison.document("reading"))


if __name__ == "__main__":
    main()
