"""Pages of mapped files that are asked for before their rows are used."""

import mmap
from itertools import pairwise
from tempfile import TemporaryFile

import numpy as np
import pytest

from raydient.steps.files import mapped
from raydient.wire.memory import Bundle
from raydient.workers.data import FileSource, read_ahead

PAGE = mmap.PAGESIZE


def in_file(rows, width):
    with TemporaryFile() as file:
        file.truncate(rows * width)
        return mapped(file, (rows, width), np.uint8)


@pytest.mark.parametrize("width", [1, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
@pytest.mark.parametrize("seed", range(5))
def test_the_ranges_are_the_pages_of_the_rows(width, seed):
    draw = np.random.default_rng(seed)
    array = in_file(200, width)
    part = array[13:]  # begins within the map
    indices = draw.integers(0, len(part), draw.integers(1, 40))
    naive = set()
    for row in indices.tolist():
        naive.update(range((row + 13) * width // PAGE, ((row + 14) * width - 1) // PAGE + 1))
    ranges = list(read_ahead.page_ranges(part, read_ahead.map_of(part), indices))
    assert {page for start, stop in ranges for page in range(start // PAGE, -(-stop // PAGE))} == naive
    assert all(before[1] < after[0] for before, after in pairwise(ranges))
    assert all(start % PAGE == 0 for start, _ in ranges)
    assert ranges[-1][1] <= 200 * width


def test_no_rows_have_no_pages():
    array = in_file(10, 8)
    assert list(read_ahead.page_ranges(array, read_ahead.map_of(array), np.empty(0, np.int64))) == []


def test_a_source_asks_for_the_pages_of_all_arrays(tmp_path, monkeypatch):
    arrays = {
        "train/x/a": np.zeros((64, PAGE // 4), np.float32),
        "train/y/out": np.zeros(64, np.int32),
        "train/weights": np.ones(64, np.float32),
        "test/x/a": np.zeros((4, PAGE // 4), np.float32),
        "test/y/out": np.zeros(4, np.int32),
        "test/weights": np.ones(4, np.float32),
    }
    bundle = Bundle.of(arrays, tmp_path)
    source = FileSource.of(bundle.arrays)
    asked = []

    class Map:
        def madvise(self, option, start, length):
            assert option == mmap.MADV_WILLNEED
            asked.append((start, length))

    real, ranges = read_ahead.map_of(bundle.arrays["train/x/a"]), read_ahead.page_ranges
    monkeypatch.setattr(read_ahead, "map_of", lambda array: Map())
    monkeypatch.setattr(read_ahead, "page_ranges", lambda array, _, rows: ranges(array, real, rows))
    source.expect("train", np.array([5, 6, 40]))
    x = bundle.places["train/x/a"].offset
    assert asked[:2] == [(x + 5 * PAGE, 2 * PAGE), (x + 40 * PAGE, PAGE)]
    assert len(asked) == 4  # one page of labels, one of weights


def test_memory_of_no_file_is_left_alone():
    source = FileSource.of({"train/x/a": np.zeros((4, 2), np.float32), "train/y/out": np.zeros(4, np.int32)})
    source.expect("train", np.arange(4))
    assert read_ahead.map_of(source.train.x) is None
