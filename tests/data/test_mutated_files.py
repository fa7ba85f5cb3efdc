"""Data files changed at random, from a seed: each is read or refused, and nothing is unpacked beyond bounds."""

import csv
import gzip
import io
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Output
from raydient.workers.data import load

CASES = {"csv": 3_000, "csv.gz": 100, "npz": 3_000, "parquet": 400, "feather": 400}
MOST_BYTES = 64 * 2**20
OUTPUTS = [Output(layer="out", label="label", loss="softmax_cross_entropy")]
SPICES = [
    *(b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b'""', b",", b"\n", b"\r", b"\r\n", b";", b"\t"),
    *(b"nan", b"NA", b"1e999", b"-", b"1_0", b"\x1b]0;x\x07", b"\xc2\xa0", "\u0661".encode(), b"'", b"\\"),
    *(b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"\x93NUMPY", b"\x93NUMPY\x02\x00\xff\xff\xff\xff"),
    *(b"<U1000000", b"|O", b"<f8", b"(9223372036854775807,)", b"(" * 50, b"[" * 300, b"-1,", b"'shape'", b"True"),
    *(b"\x08\x00", b"\x0c\x00", b"\x0e\x00", b"\x01\x00", b"\xff\xff\xff\xff"),
]


def table():
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["a", "b", "note", "y"])
    writer.writerows([n, n / 7, f'text "{n}", \n more', n % 3] for n in range(12))
    return file.getvalue().encode()


def archives():
    arrays = {"x": np.arange(36.0).reshape(12, 3), "y": np.arange(12) % 3, "other": np.array(["a", "bc"])}
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        yield file.getvalue()
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, array in arrays.items():
                content = io.BytesIO()
                np.save(content, array)
                archive.writestr(f"{name}.npy", content.getvalue())
        yield file.getvalue()


def arrow_files(suffix):
    columns = {"a": np.arange(12), "b": np.arange(12) / 7, "note": [f'text "{n}"' for n in range(12)]}
    rows = pa.table(columns | {"y": [["no", "yes"][n % 2] for n in range(12)]})
    for is_compressed in (True, False):
        file = io.BytesIO()
        if suffix == "parquet":
            pq.write_table(rows, file, compression="zstd" if is_compressed else "none", row_group_size=5)
        else:
            feather.write_feather(rows, file, compression="lz4" if is_compressed else "uncompressed", chunksize=5)
        yield file.getvalue()


SEEDS = {
    "csv": lambda: [table()],
    "csv.gz": lambda: [gzip.compress(table(), mtime=0)],
    "npz": lambda: list(archives()),
    "parquet": lambda: list(arrow_files("parquet")),
    "feather": lambda: list(arrow_files("feather")),
}


def mutated(content, generator):
    """Return a copy with one to four changes: bytes, insertions, removals, copies, an end."""
    data = bytearray(content)
    for _ in range(generator.integers(1, 5)):
        place = int(generator.integers(0, len(data) + 1))
        spice = SPICES[generator.integers(len(SPICES))]
        length = int(generator.integers(1, 40))
        match generator.integers(6):
            case 0:
                data[place : place + 1] = bytes([generator.integers(256)])
            case 1:
                data[place:place] = spice
            case 2:
                data[place : place + len(spice)] = spice
            case 3:
                del data[place : place + length]
            case 4:
                start = int(generator.integers(0, len(data) + 1))
                data[place:place] = data[start : start + length]
            case _ if generator.random() < 0.2:
                del data[place:]
    return bytes(data)


@pytest.mark.parametrize("suffix", SEEDS)
def test_a_mutated_file_is_read_or_refused(tmp_path, suffix):
    contents, generator = SEEDS[suffix](), np.random.default_rng(20)
    path = tmp_path / f"data.{suffix}"
    read, refused = 0, []
    tracemalloc.start()
    for case in range(CASES[suffix]):
        path.unlink(missing_ok=True)  # a file system may flush a file that is truncated and written again
        path.write_bytes(mutated(contents[case % len(contents)], generator))
        features = ("a", "b") if suffix != "npz" and case % 2 else ()
        try:
            load(Dataset(uri=path.name, features=features), path, OUTPUTS, seed=1)
        except InvalidSpec as invalid:
            refused.append(invalid.errors)
        else:
            read += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert min(read, len(refused)) > CASES[suffix] / 100
    assert all(refused)
    assert all(error.path.startswith("dataset.") for errors in refused for error in errors)
    assert [error for errors in refused for error in errors if not error.message.isprintable()] == []
    assert peak < MOST_BYTES


def with_header(text, *, size=96, version=b"\x01\x00", length=None):
    """Return an NPZ file whose arrays have `header` and the given number of bytes."""
    header = text.encode()
    count = (len(header) if length is None else length).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x", "y"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY" + version + count + header + bytes(size))
    return file.getvalue()


HEADER = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize(
    "content",
    [
        with_header(HEADER.format("'<f8'", "(-3, -4)")),
        with_header(HEADER.format("'<f8'", "(True, 12)")),
        with_header(HEADER.format("'<f8'", f"({2**62}, {2**62})")),
        with_header(HEADER.format("'<f8'", "(" * 5_000)),
        with_header(HEADER.format("'<f8'", "(" + "1, " * 70 + "12)")),
        with_header(HEADER.format("'<U0'", "(12,)"), size=0),
        with_header(HEADER.format("'|V0'", "(12,)"), size=0),
        with_header(HEADER.format("[('a', '<f8')]", "(12,)")),
        with_header(HEADER.format("'<f8'", "(12,)"), size=50_000_000),
        with_header(" " * 50_000_000, version=b"\x02\x00", size=0),
        with_header("", version=b"\x02\x00", length=2**32 - 1, size=50_000_000),
    ],
)
def test_hostile_headers_are_refused(tmp_path, content):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    tracemalloc.start()
    with suppress(InvalidSpec):
        load(Dataset(uri=path.name), path, OUTPUTS, seed=1)
        pytest.fail("it was read")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
