"""NPZ files: arrays that are read, and files that are refused before they are unpacked."""

import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from raydient.spec import expansion
from raydient.workers.data import limits, npz_file

X = np.arange(12, dtype=np.float64).reshape(4, 3)
Y = np.array([0, 1, 1, 0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.uint8, np.int64, np.bool_])
def test_numbers_of_any_type(load_file, dtype):
    data = load_file({"x": X.astype(dtype), "y": Y})
    assert data.train.x.dtype == np.float32
    assert np.array_equal(data.train.x, X.astype(dtype).astype(np.float32))
    assert data.input.feature_names == ()


@pytest.mark.parametrize("order", ["C", "F"])
def test_samples_of_any_shape(load_file, order):
    images = np.random.default_rng(1).random((4, 5, 6, 3))
    data = load_file({"x": np.array(images, order=order), "y": Y})
    assert data.input.shape == (5, 6, 3)
    assert data.train.x.flags.c_contiguous
    assert np.array_equal(data.train.x, images.astype(np.float32))


def test_one_number_a_sample(load_file):
    assert load_file({"x": X[:, 0], "y": Y}).train.x.tolist() == [[0], [3], [6], [9]]


def test_arrays_by_name(load_file):
    data = load_file({"pixels": X, "digit": Y, "x": X + 1}, features=["pixels"], label="digit")
    assert np.array_equal(data.train.x, X)


def test_compressed(load_file, tmp_path):
    file = io.BytesIO()
    np.savez_compressed(file, x=X, y=Y)
    assert np.array_equal(load_file(file.getvalue(), name="data.npz").train.x, X)


def test_text_labels(load_file):
    data = load_file({"x": X, "y": np.array(["b", "a", "a", "b"])})
    assert data.target.classes == ("a", "b")
    assert data.train.y.tolist() == [1, 0, 0, 1]


def with_nan(place):
    values = X.copy()
    values[place] = np.nan
    return values


STRUCTURED = np.zeros(4, [("a", float)])


@pytest.mark.parametrize(
    ("arrays", "path", "words"),
    [
        ({"y": Y}, "dataset.features", ["'x' is not an array of the file", "there are: y"]),
        ({"x": X, "labels": Y}, "dataset.label", ["'y' is not an array of the file"]),
        ({"x": X, "y": Y[:3]}, "dataset.features", ["(4, 3)", "(3,)"]),
        ({"x": np.float64(1), "y": Y}, "dataset.features", ["one row for each sample"]),
        ({"x": X[:0], "y": Y}, "dataset.features", ["empty", "(0, 3)"]),
        ({"x": X[:, :0], "y": Y}, "dataset.features", ["empty", "(4, 0)"]),
        ({"x": X.astype(complex), "y": Y}, "dataset.features", ["complex128", "but must be numbers"]),
        ({"x": X.astype(str), "y": Y}, "dataset.features", ["but must be numbers"]),
        ({"x": X.astype(object), "y": Y}, "dataset.features", ["Python objects"]),
        ({"x": STRUCTURED, "y": Y}, "dataset.features", ["but must be numbers"]),
        ({"x": with_nan((2, 1)), "y": Y}, "dataset.features", ["nan in row 3, position (1,)"]),
        ({"x": with_nan(slice(1, 3)), "y": Y}, "dataset.features", ["nan in row 2, position (0,) (6 such values)"]),
        ({"x": X, "y": np.array([0, np.inf, 1, 1])}, "dataset.label", ["inf in row 2"]),
        ({"x": X * 1e38, "y": Y}, "dataset.features", ["too large for float32"]),
    ],
)
def test_bad_arrays_are_refused_with_a_path(errors_of, arrays, path, words):
    ((field, message),) = errors_of(arrays)
    assert field == path
    assert all(word in message for word in words), message


def test_all_errors_at_once(errors_of):
    assert [path for path, _ in errors_of({"a": X})] == ["dataset.features", "dataset.label"]


def test_one_array_only(errors_of):
    ((path, message),) = errors_of({"a": X, "b": X, "y": Y}, features=["a", "b"])
    assert path == "dataset.features"
    assert "one array" in message


@pytest.mark.parametrize("order", ["<", ">"])
def test_texts_that_are_not_unicode_are_refused(errors_of, order):
    texts = np.array(["a", "b", "c\ud800", "d"]).astype(f"{order}U2")
    ((path, message),) = errors_of({"x": X, "y": texts})
    assert path == "dataset.label"
    assert message.startswith("'y' has a text in row 3 that is not Unicode")


def test_memory_and_disk_are_checked_before_unpacking(errors_of, monkeypatch):
    monkeypatch.setattr(limits, "available_bytes", lambda: 2**20)
    monkeypatch.setattr(limits, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    monkeypatch.setattr(npz_file, "read_array", None)  # would fail
    ((path, message),) = errors_of({"x": np.zeros((200, 1000)), "y": np.zeros(200)})
    assert path == "dataset.uri"
    assert "its data do not fit 1.0 MiB of free memory, and " in message


def test_arrays_that_expand_a_lot_are_refused_before_unpacking(errors_of, monkeypatch):
    monkeypatch.setattr(expansion, "PLAIN_BYTES", 100_000)
    monkeypatch.setattr(npz_file, "read_array", None)  # would fail
    file = io.BytesIO()
    np.savez_compressed(file, x=np.zeros((1_000, 100)), y=np.zeros(1_000, np.int8))
    ((path, message),) = errors_of(file.getvalue(), name="data.npz")
    assert path == "dataset.features"
    assert (
        "times as large as its compressed form, more than the 100 times that are read: save it with numpy.savez"
        in message
    )


@pytest.mark.parametrize("comment", [b"", b"a comment"])
@pytest.mark.parametrize("limit", [50, 10_000])
def test_a_directory_is_bounded_before_it_is_read(load_file, errors_of, monkeypatch, comment, limit):
    monkeypatch.setattr(npz_file, "DIRECTORY_BYTES", limit)
    content = archive(npy(Y), comment)
    if limit > 50:
        assert load_file(content, name="data.npz").train.y.tolist() == Y.tolist()
        return
    monkeypatch.setattr(npz_file.zipfile, "ZipFile", None)  # would fail
    assert errors_of(content, name="data.npz") == [
        ("dataset.uri", "the file has a directory of 102 bytes, more than the 50 that are read: save fewer arrays")
    ]


def test_the_directory_of_an_archive_of_more_than_4_gib_is_bounded(errors_of, monkeypatch):
    monkeypatch.setattr(npz_file.zipfile, "ZIP64_LIMIT", 10)
    content = archive(npy(Y))
    monkeypatch.setattr(npz_file, "DIRECTORY_BYTES", 50)
    ((path, message),) = errors_of(content, name="data.npz")
    assert path == "dataset.uri"
    assert "has a directory of 1" in message


def test_other_arrays_may_hold_anything(load_file):
    data = load_file({"x": X, "y": Y, "names": np.array([None, "a"], object), "table": STRUCTURED})
    assert np.array_equal(data.train.x, X)


def archive(member, comment=b""):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.comment = comment
        members.writestr("x.npy", member)
        members.writestr("y.npy", member)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a zip file",
        archive(b""),
        archive(b"\x93NUMPY"),
        archive(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'}"),
        archive(npy(X)[:-8]),
        archive(npy(X))[:-40],
        archive(npy(X)).replace(npy(X)[-8:], b"\x00" * 8),
    ],
    ids=["empty", "text", "no header", "half a header", "bad header", "too short", "cut off", "checksum"],
)
def test_damaged_files(errors_of, content):
    ((path, message),) = errors_of(content, name="data.npz")
    assert path == "dataset.uri"
    assert message.startswith("the file is not an NPZ file: ")


def test_an_unknown_version_of_the_format(errors_of):
    errors = errors_of(archive(b"\x93NUMPY\x03\x00" + b"\x00" * 50), name="data.npz")
    assert [path for path, _ in errors] == ["dataset.features", "dataset.label"]
    assert "version (3, 0)" in errors[0][1]
