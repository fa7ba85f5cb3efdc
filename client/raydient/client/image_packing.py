"""Packs images that a table names by their paths, or that lie in a folder, into an Arrow file with their bytes."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raydient.spec.csv_text import GZIP, UTF8, Dialect, open_text
from raydient.spec.dataset import Dataset
from raydient.spec.decoding import FOLDER_COLUMNS, NO_IMAGES, ImageError, image_files, read_below
from raydient.spec.errors import FieldError, InvalidSpec

from .arrow_samples import open_table
from .extras import importing
from .joining import naming, plain
from .samples import read_header, with_delimiter

BATCH_ROWS = 64
"""Rows with the bytes of their images that are in memory at a time."""


def pack_images(path: Path, dataset: Dataset, field: str, base: Path, folder: Path) -> Path:
    """Return the path of a new Arrow file with the rows of a table and the bytes of its images.

    A table whose columns of images have bytes already is returned as it is.

    Args:
        path: of the table, or of a folder of images.
        dataset: names the columns of images, and the dialect of CSV files.
        field: path of the setting that names the data.
        base: folder of the images' paths.
        folder: an existing folder for the file.

    Raises:
        InvalidSpec: the table or an image cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    with importing("Uploading images", "local"):
        import pyarrow as pa

        from raydient.workers.data.arrow_values import is_text
    output = folder / f"{path.stem}.images.arrow"
    with naming(field, path):
        schema, batches = _open(path, dataset.csv.dialect, field)
        paths = [place for place, column in enumerate(schema) if column.name in dataset.images and is_text(column.type)]
        if not paths and not path.is_dir():
            return path
        schema = plain(schema)
        for place in paths:
            schema = schema.set(place, pa.field(schema.names[place], pa.large_binary()))
        with pa.OSFile(str(output), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            row = 0
            for batch in batches:
                columns = batch.columns
                for place in paths:
                    columns[place] = _contents(columns[place], field, base, row)
                columns = [column.cast(type_) for column, type_ in zip(columns, schema.types, strict=True)]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                row += batch.num_rows
    return output


def _contents(paths: Any, field: str, base: Path, first: int) -> Any:
    """Return the bytes of the images at some paths; null where there is none. `first` is the number of rows before."""
    import pyarrow as pa

    contents: list[bytes | None] = []
    for row, name in enumerate(paths.to_pylist(), start=first + 1):
        try:
            contents.append(read_below(base, name) if name else None)
        except ImageError as error:
            raise InvalidSpec([FieldError(field, f"{name!r} in row {row} {error}")]) from error
    return pa.array(contents, pa.large_binary())


def _open(path: Path, dialect: Dialect, field: str) -> tuple[Any, Iterator[Any]]:
    """Return the schema of a table and its rows as batches of at most BATCH_ROWS."""
    if path.is_dir():
        return _open_rows(_of_folder(path, field))
    if path.suffix.lower() in (".csv", GZIP):
        return _open_rows(_of_text(path, dialect))
    return open_table(path, BATCH_ROWS)


def _open_rows(table: Any) -> tuple[Any, Iterator[Any]]:
    return table.schema, iter(table.to_batches(BATCH_ROWS))


def _of_folder(path: Path, field: str) -> Any:
    import pyarrow as pa

    if not (rows := list(image_files(path))):
        raise InvalidSpec([FieldError(field, f"{path.name!r}: {NO_IMAGES}")])
    columns = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
    return pa.table(dict(zip(FOLDER_COLUMNS, columns, strict=True)))


def _of_text(path: Path, dialect: Dialect) -> Any:
    """Return a CSV file with every cell as text, null where a value is missing as training reads it."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    dialect = with_delimiter(path, dialect)
    with open_text(path, dialect) as file:
        names = read_header(path, file, dialect)
        places = [str(place) for place in range(len(names))]
        rows = file.read()
    table = pa_csv.read_csv(
        io.BytesIO(rows.encode(UTF8, "surrogateescape")),
        pa_csv.ReadOptions(column_names=places, use_threads=False, block_size=max(1, 4 * len(rows))),
        pa_csv.ParseOptions(delimiter=dialect.delimiter or ",", newlines_in_values=True),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.large_string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    if dialect.decimal == ",":
        columns = [[cell and dialect.cell(cell) for cell in column.to_pylist()] for column in table.columns]
        table = pa.table([pa.array(column, pa.large_string()) for column in columns], names=places)
    return table.rename_columns(names)
