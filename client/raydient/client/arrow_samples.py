"""Reads the rows of Parquet and Arrow files in parts, for predictions and to join files."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from .columns import InvalidSamples, repeated_names
from .extras import importing

SUFFIXES = (".parquet", ".arrow", ".feather")


def read_tables(path: Path, rows: int, needed: Collection[str] | None) -> "Iterator[Table]":
    """Yield parts of at most `rows` rows, at least one, which is empty if there are none.

    Args:
        path: of the file.
        rows: the most rows of a part.
        needed: columns to read, if the file has them; None reads all.

    Raises:
        InvalidSamples: the file cannot be read. The message begins with its path.
        MissingExtra: pyarrow is not installed.
    """
    with importing(f"Reading {path.name}", "local"):
        import pyarrow as pa
    with path.open("rb"):  # an error of the operating system, such as one of permissions, stays what it is
        pass
    try:
        schema, batches = open_table(path, rows, needed)
        for part in chain([next(batches, schema.empty_table())], batches):
            yield Table(schema.names, part)
    except (pa.ArrowException, OSError, ValueError) as error:
        kind = "a Parquet file" if _is_parquet(path) else "an Arrow file"
        text = "".join(c if c.isprintable() else " " for c in str(error))[:200]
        raise InvalidSamples(f"{path}: not {kind} that can be read: {text}") from error


def open_table(path: Path, rows: int, needed: Collection[str] | None = None) -> tuple[Any, Iterator[Any]]:
    """Return the schema of a file, and its rows as record batches of 1 to `rows` rows; see `read_tables`.

    Raises:
        ArrowException, OSError, ValueError: the file cannot be read, now or when the batches are.
    """
    if _is_parquet(path):
        import pyarrow.parquet as pq

        file = pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False)
        names = [name for name in dict.fromkeys(file.schema_arrow.names) if needed is None or name in needed]
        return file.schema_arrow, _parquet_batches(file, rows, names)
    import pyarrow as pa

    with pa.OSFile(str(path)) as opened:
        schema = pa.ipc.open_file(opened).schema
    places = [place for place, name in enumerate(schema.names) if needed is None or name in needed]
    return schema, _arrow_batches(path, rows, places)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _parquet_batches(file: Any, rows: int, names: list[str]) -> Iterator[Any]:
    with file:
        yield from file.iter_batches(rows, columns=names, use_threads=False)


def _arrow_batches(path: Path, rows: int, places: list[int]) -> Iterator[Any]:
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=places)
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file, options=options)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            batch.validate(full=True)
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)


class Table(Mapping[str, Any]):
    """Some rows of a table: its columns as arrays by name. Those without a name are left out.

    Attributes:
        repeated: names of several columns; reading one raises InvalidSamples.

    Args:
        names: of all columns of the file.
        rows: a record batch or table with the columns that were read.
    """

    def __init__(self, names: Sequence[str], rows: Any) -> None:
        self.repeated = repeated_names(names)
        self._names, self._rows = dict.fromkeys(name for name in names if name), rows

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self._rows.num_rows)

    def __getitem__(self, name: str) -> Any:
        """The values of a column (n,): numbers in their own type, dates as datetime64, all others as Python objects.

        A missing value is NaN or NaT, or None among objects.
        """
        import numpy as np
        import pyarrow as pa

        if name not in self._names:
            raise KeyError(name)
        if name in self.repeated:
            raise InvalidSamples(f"there is more than one column named {name!r}")
        column = self._rows.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        is_date = pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)
        if column.null_count and not (pa.types.is_floating(column.type) or is_date):
            values = np.empty(len(column), object)
            values[:] = column.to_pylist()
            return values
        if isinstance(column, pa.ChunkedArray):
            return column.to_numpy()
        return column.to_numpy(zero_copy_only=False)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
