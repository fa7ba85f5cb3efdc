"""Blocks of CSV files are whole rows, whatever is quoted; the twin is Python's reader, which goes row by row."""

import csv
import gzip
import io
import random

import pytest

from raydient.workers.data import csv_blocks
from raydient.workers.data.csv_blocks import Blocks

_CELLS = ("1", "a b", "", 'say "so"', "two\nlines", '"', '""', ",", ";", "\n", "\r\n", "x" * 30)


def _blocks(content: bytes, delimiter: str = ",") -> tuple[list[bytes], bytes]:
    blocks = Blocks(io.BytesIO(content), delimiter)
    cut = [bytes(block) for block, _ in blocks]
    return cut, blocks.rest


def _rows(content: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=delimiter))


@pytest.mark.parametrize("seed", range(40))
def test_blocks_end_where_rows_end(seed, monkeypatch):
    draw = random.Random(seed)
    delimiter = draw.choice(",;")
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", draw.randrange(120, 400))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=draw.choice((csv.QUOTE_ALL, csv.QUOTE_MINIMAL)))
    writer.writerows([draw.choice(_CELLS), draw.choice(_CELLS), "1"] for _ in range(60))
    content = text.getvalue().encode()
    cut, rest = _blocks(content, delimiter)
    assert b"".join(cut) + rest == content
    assert len(cut) > 1
    assert [row for block in (*cut, rest) for row in _rows(block, delimiter)] == _rows(content, delimiter)


@pytest.mark.parametrize(
    "row",
    ['5" pipe,1', '"a"b,1', 'a""b,1', 'a"b"c,1'],
    ids=["within a value", "text behind quotes", "a pair within a value", "two within a value"],
)
def test_quotes_that_are_no_quoting_end_the_blocks(row, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    plain = b"1,2\n" * 16
    content = plain + f"{row}\n".encode() + b"3,4\n" * 40
    cut, rest = _blocks(content)
    assert b"".join(cut) == plain
    assert rest.startswith(row.encode())


def test_a_row_that_is_longer_than_a_block_ends_the_blocks(monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    cut, rest = _blocks(b"1,2\n" * 16 + b"x" * 100 + b",1\n1,2\n")
    assert b"".join(cut) == b"1,2\n" * 16
    assert rest == b"x" * 64


@pytest.mark.parametrize("block_bytes", [40, 64, 2**20])
def test_a_file_is_read_alike_in_blocks_of_any_size(load_file, monkeypatch, block_bytes):
    whole = "a,y\n" + '1,"two\nlines"\n' * 20 + '2,5" pipe\n' + f"3,{'x' * 90}\n" + '4,"so ""called"""\n' * 20
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", block_bytes)
    data = load_file(whole)
    assert data.train.x[:, 0].tolist() == [1] * 20 + [2, 3] + [4] * 20
    assert data.target.classes == ('5" pipe', 'so "called"', "two\nlines", "x" * 90)


def test_the_rest_of_a_compressed_file_is_read_as_a_stream(load_file, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    content = "a,y\n" + "1,2\n" * 30 + '5,"x"y\n' + "3,4\n" * 30
    data = load_file(gzip.compress(content.encode()), name="data.csv.gz")
    assert data.train.x[:, 0].tolist() == [1] * 30 + [5] + [3] * 30
