"""The contract of `Source`: any implementation joins SOURCES and has to agree with a list of rows."""

import numpy as np
import pytest

from raydient.steps.arrays import aligned_zeros
from raydient.workers.data import PARTS, FileSource, MemorySource, Samples, Schema

TRAIN_ROWS, TEST_ROWS = 11, 4
INPUTS = {"image": (2, 3), "text": (5,)}
LABELS = {"kind": ((), "<i4"), "price": ((2,), "<f4")}


def arrays_of(weighted, test_rows=TEST_ROWS):
    generator = np.random.default_rng(7)
    arrays = {}
    for part, rows in (("train", TRAIN_ROWS), ("test", test_rows)):
        for name, shape in INPUTS.items():
            arrays[f"{part}/x/{name}"] = generator.normal(size=(rows, *shape)).astype(np.float32)
        for name, (shape, kind) in LABELS.items():
            arrays[f"{part}/y/{name}"] = generator.integers(0, 9, (rows, *shape)).astype(kind)
        if weighted:
            arrays[f"{part}/weights"] = generator.random(rows).astype(np.float32)
    return arrays


SOURCES = {
    "memory": lambda arrays, folder: MemorySource.of(arrays),
    "mapped": lambda arrays, folder: MemorySource.of({name: mapped(array, folder) for name, array in arrays.items()}),
    "reads ahead": lambda arrays, folder: FileSource.of({n: mapped(array, folder) for n, array in arrays.items()}),
    "there and back": lambda arrays, folder: MemorySource.of(MemorySource.of(arrays).arrays()),
}
"""By name: makes a source of arrays by name; it may write into a folder."""


def mapped(array, folder):
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r" if array.size else None)


@pytest.fixture(params=SOURCES)
def make(request, tmp_path):
    return lambda arrays: SOURCES[request.param](arrays, tmp_path)


@pytest.fixture(params=[False, True], ids=["equal", "weighted"])
def arrays(request):
    return arrays_of(request.param)


def empty(rows, weighted):
    return Samples(
        {name: aligned_zeros((rows, *shape), np.float32) for name, shape in INPUTS.items()},
        {name: aligned_zeros((rows, *shape), kind) for name, (shape, kind) in LABELS.items()},
        aligned_zeros((rows,), np.float32) if weighted else None,
    )


def flat(samples, part):
    weights = {} if samples.weights is None else {f"{part}/weights": samples.weights}
    xs = {f"{part}/x/{name}": x for name, x in samples.xs.items()}
    return xs | {f"{part}/y/{name}": y for name, y in samples.ys.items()} | weights


def test_the_schema_describes_one_sample(make, arrays):
    source, weighted = make(arrays), "train/weights" in arrays
    assert source.schema == Schema(INPUTS, LABELS, weighted)
    assert source.schema.row_bytes == 4 * (6 + 5) + 4 * (1 + 2) + 4 * weighted
    assert {part: source.rows(part) for part in PARTS} == {"train": TRAIN_ROWS, "test": TEST_ROWS}


@pytest.mark.parametrize("part", PARTS)
def test_filled_rows_are_the_indices_in_their_order(make, arrays, part):
    source, weighted = make(arrays), "train/weights" in arrays
    generator = np.random.default_rng(1)
    for count in (1, 3, 20):
        indices = generator.integers(0, source.rows(part), count)
        source.expect(part, indices[::-1])  # which changes nothing
        out = empty(count, weighted)
        source.fill(part, indices, out)
        for name, array in flat(out, part).items():
            assert array.tolist() == [arrays[name][row].tolist() for row in indices]


def test_filled_arrays_belong_to_the_caller(make, arrays):
    source, weighted = make(arrays), "train/weights" in arrays
    first, second = empty(2, weighted), empty(2, weighted)
    source.fill("train", np.array([3, 4]), first)
    for array in flat(first, "train").values():
        array[...] = 0
    source.fill("train", np.array([3, 4]), second)
    for name, array in flat(second, "train").items():
        assert array.tolist() == arrays[name][3:5].tolist()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_a_sample_is_the_first_rows(make, arrays, part, rows):
    sample = make(arrays).sample(part, rows)
    assert sample.rows == min(rows, {"train": TRAIN_ROWS, "test": TEST_ROWS}[part])
    for name, array in flat(sample, part).items():
        assert array.tolist() == arrays[name][:rows].tolist()
    assert (sample.weights is not None) == ("train/weights" in arrays)


def test_label_means_are_of_the_training_part_in_float64(make, arrays):
    source = make(arrays)
    for name, (shape, _) in LABELS.items():
        mean = source.label_mean(name)
        assert (mean.shape, mean.dtype) == (shape, np.float64)
        expected = np.sum(arrays[f"train/y/{name}"].astype(np.float64), axis=0) / TRAIN_ROWS
        np.testing.assert_allclose(mean, expected, rtol=1e-14)


def test_the_held_out_part_may_be_empty(make):
    source = make(arrays_of(weighted=False, test_rows=0))
    assert source.rows("test") == 0
    assert source.sample("test", 3).rows == 0
