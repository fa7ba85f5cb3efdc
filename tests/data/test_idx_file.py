"""IDX files, the form of MNIST: images and labels in two files, perhaps compressed."""

import gzip
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from raydient.client.columns import InvalidSamples
from raydient.client.packing import pack
from raydient.client.samples import read_samples
from raydient.spec import expansion
from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec
from raydient.spec.idx import labels_of
from raydient.spec.network import Output
from raydient.spec.patterns import opened_files
from raydient.workers.data import limits, load

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
X = np.random.default_rng(0).integers(0, 256, (12, 4, 3), np.uint8)
Y = np.arange(12, dtype=np.uint8) % 3


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    """The content of a file."""
    lengths = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, kind, array.ndim]) + lengths + array.tobytes()


def write(folder: Path, content: bytes, name: str) -> Path:
    """A file, compressed if its name says so."""
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def load_from(folder: Path, name: str = IMAGES, **settings: object):
    """The training part of a pair of files."""
    spec = Dataset.model_validate({"uri": name, "split": {"test": 0.25}, **settings})
    validation = folder / spec.validation.uri if spec.validation and spec.validation.uri else None
    outputs = [Output(layer="out", label="label", loss="softmax_cross_entropy")]
    return load(spec, folder / name, outputs, 1, validation=validation)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pair of files."""
    write(tmp_path, idx(X), IMAGES)
    write(tmp_path, idx(Y), LABELS)
    return tmp_path


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES, LABELS),
        (f"{IMAGES}.gz", f"{LABELS}.gz"),
        (f"{IMAGES}.gz", LABELS),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
        ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte.gz"),
    ],
)
def test_a_pair_has_the_values_of_an_npz_file(tmp_path: Path, images: str, labels: str) -> None:
    path = write(tmp_path, idx(X), images)
    other = write(tmp_path, idx(Y), labels)
    np.savez(tmp_path / "same.npz", x=X, y=Y)
    expected, data = load_from(tmp_path, "same.npz", standardize=True), load_from(tmp_path, images, standardize=True)
    packed = pack(path, None, "dataset.uri", tmp_path)
    for one in (data, load_from(tmp_path, packed.name, standardize=True)):
        assert {key: array.tobytes() for key, array in one.arrays().items()} == {
            key: array.tobytes() for key, array in expected.arrays().items()
        }
        assert one.input.kind == expected.input.kind
    assert opened_files(path) == [path, other]


def test_the_same_values_are_packed_to_the_same_bytes(folder: Path) -> None:
    (folder / "gz").mkdir()
    for name, array in ((f"{IMAGES}.gz", X), (f"{LABELS}.gz", Y)):
        write(folder / "gz", idx(array), name)
    packed = [pack(path, None, "f", folder) for path in (folder / IMAGES, folder / "gz" / f"{IMAGES}.gz")]
    assert packed[0] != packed[1]
    assert packed[0].read_bytes() == packed[1].read_bytes()


def test_held_out_files_of_their_own(folder: Path) -> None:
    write(folder, idx(X[:5] // 2), "t10k-images-idx3-ubyte.gz")
    write(folder, idx(Y[:5]), "t10k-labels-idx1-ubyte.gz")
    data = load_from(folder, split={}, validation={"uri": "t10k-images-idx3-ubyte.gz"})
    assert np.array_equal(data.train.x, X)
    assert np.array_equal(data.test.x, X[:5] // 2)
    assert data.test.y.tolist() == Y[:5].tolist()


def test_samples_for_predictions_need_no_labels(folder: Path) -> None:
    (samples,) = read_samples(folder / IMAGES)
    assert np.array_equal(samples.arrays["x"], X)
    assert samples.arrays["y"].tolist() == Y.tolist()
    (folder / LABELS).unlink()
    (samples,) = read_samples(folder / IMAGES)
    assert [*samples.arrays] == ["x"]
    write(folder, idx(X)[:-1], IMAGES)
    with pytest.raises(InvalidSamples, match=r": not an IDX file that can be read: .* its header declares 160"):
        next(read_samples(folder / IMAGES))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (idx(X)[:-1], idx(Y), f"{IMAGES} has 159 bytes, but its header declares 160"),
        (idx(X) + b"\0", idx(Y), f"{IMAGES} has 161 bytes, but its header declares 160"),
        (idx(X), idx(Y)[:9], f"{LABELS} has 9 bytes, but its header declares 20"),
        (idx(X)[:7], idx(Y), f"{IMAGES} ends within its header"),
        (b"", idx(Y), "begins with nothing, not with two zeros, a type and a rank"),
        (b"\x1f\x8b\x08\0", idx(Y), "begins with 1f 8b 08 00"),
        (idx(X.astype(">f4"), 0x0D), idx(Y), "has values of type 0x0d: only unsigned bytes (0x08) are read"),
        (idx(X[:, :0]), idx(Y), "is empty: its shape is (12, 0, 3)"),
        (b"\0\0\x08\x03" + b"\xff" * 12, idx(Y), "but its header declares"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"\0", idx(Y), "begins with 00 00 08 ff, not with two zeros"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, images: bytes, labels: bytes, words: str) -> None:
    write(tmp_path, images, IMAGES)
    write(tmp_path, labels, LABELS)
    with pytest.raises(InvalidSpec) as caught:
        load_from(tmp_path)
    (error,) = caught.value.errors
    assert error.path in ("dataset.uri", "dataset.features")
    assert words in error.message


def test_compressed_files_hold_what_they_declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{IMAGES}.gz"
    write(tmp_path, idx(Y), LABELS)
    for content, words in (
        (idx(X)[:-4], f"{name} ends 4 bytes before the 144 values that it declares"),
        (idx(X) + bytes(10**6), f"{name} goes on after the 144 values that it declares"),
    ):
        path = write(tmp_path, content, name)
        with pytest.raises(InvalidSpec, match=words):
            load_from(tmp_path, name)
        with pytest.raises(InvalidSpec, match=words):
            pack(path, None, "dataset.uri", tmp_path)
    path.write_bytes(gzip.compress(idx(X))[:-9])
    with pytest.raises(InvalidSpec, match="not an IDX file: "):
        load_from(tmp_path, name)
    monkeypatch.setattr(expansion, "PLAIN_BYTES", 10_000)
    write(tmp_path, idx(np.zeros((12, 1000, 10), np.uint8)), name)
    with pytest.raises(InvalidSpec, match=r"times its compressed size, more than the 100 times that are read"):
        load_from(tmp_path, name)


def test_memory_is_checked_before_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_bytes", lambda: 250)
    monkeypatch.setattr("raydient.spec.idx.IdxFile.values", None)  # would fail
    with pytest.raises(InvalidSpec, match="its data take more than"):
        load_from(folder)


def test_labels_have_to_be_beside_the_images(folder: Path) -> None:
    (folder / LABELS).rename(folder / "labels-ubyte")
    with pytest.raises(InvalidSpec, match=f"has no labels beside it: there is no file '{LABELS}'"):
        load_from(folder)
    with pytest.raises(InvalidSpec, match=f"there is no file of its labels, named '{LABELS}'"):
        pack(folder / IMAGES, None, "dataset.uri", folder)
    with pytest.raises(InvalidSpec, match="is not named as one of images"):
        load_from(folder, "labels-ubyte")
    with pytest.raises(InvalidSpec, match="a name that has `labels` in place of `images`"):
        pack(folder / "labels-ubyte", None, "dataset.uri", folder)
    assert labels_of(Path("labels-ubyte")) is None


def test_labels_of_another_number(folder: Path) -> None:
    write(folder, idx(Y[:-1]), LABELS)
    with pytest.raises(InvalidSpec, match=r"'x' has shape \(12, 4, 3\) and 'y' \(11,\): both need one row"):
        load_from(folder)


def test_no_mutation_takes_memory_beyond_the_file(folder: Path) -> None:
    generator = np.random.default_rng(3)
    tracemalloc.start()
    try:
        for _ in range(300):
            content = bytearray(idx(X))
            for place in generator.integers(0, 24, 3):
                content[place] = generator.integers(256)
            write(folder, bytes(content), [IMAGES, f"{IMAGES}.gz"][generator.integers(2)])
            for name in (IMAGES, f"{IMAGES}.gz"):
                with suppress(InvalidSpec):
                    load_from(folder, name)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
