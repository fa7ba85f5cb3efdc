"""Prepared data sets that are kept: found again with the same values, or prepared anew."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from raydient.spec.dataset import LABEL
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.network import Output
from raydient.steps.places import Place
from raydient.workers.data import Dataset, limits, loading, prepared, shards
from raydient.workers.data.prepared import CACHE_GIB, PreparedSets

SETTINGS = {
    "inputs": {"numbers": ["a", "b"], "place": {"columns": "where", "categories": True, "buckets": True}},
    "columns": {"a": {"impute": "median", "indicator": True}, "b": {"log": True}},
    "standardize": True,
    "sample_weight": "w",
    "split": {"test": 0.3},
}


def table(rows: int = 400, last: float = 0.5) -> str:
    draw = np.random.default_rng(2)
    lines = ["a,b,where,w,y"]
    for row in range(rows):
        a = "" if row % 7 == 0 else f"{draw.normal():.3f}"
        lines.append(f"{a},{draw.random():.3f},{'north' if row % 3 else 'south'},1,{'abc'[row % 3]}")
    return "\n".join([*lines[:-1], f"1.0,{last},north,1,a"]) + "\n"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of kept sets; every data set is a large one, of several data shards."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 1000)
    monkeypatch.setattr(limits, "LEAST_FILE_BYTES", 64)
    monkeypatch.setattr(limits, "NUMBERS_SHARE", 0.0)
    monkeypatch.setenv(CACHE_GIB, "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / "cache" / "raydient" / "prepared"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that the data file is read."""
    times, read = [], loading.read

    def counted(*arguments):
        times.append(str(arguments[1]))
        return read(*arguments)

    monkeypatch.setattr(loading, "read", counted)
    return times


def assert_equal(one: Dataset, other: Dataset) -> None:
    assert one.arrays().keys() == other.arrays().keys()
    for name, array in one.arrays().items():
        assert array.dtype == other.arrays()[name].dtype
        assert np.array_equal(array, other.arrays()[name]), name
    assert one.held_out.tolist() == other.held_out.tolist()
    raw = np.array([[1.0, 2.0], [np.nan, 0.5]])
    assert np.array_equal(one.inputs["numbers"].apply(raw), other.inputs["numbers"].apply(raw))
    assert one.inputs["place"].vocabulary == other.inputs["place"].vocabulary
    assert one.targets == other.targets


def test_a_set_is_prepared_once(load_file, reads, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(limits, "NUMBERS_SHARE", 0.5)
    within = load_file(table(), **SETTINGS)
    assert (within.folder, within.kept, folder.exists()) == (None, None, False)
    monkeypatch.setattr(limits, "NUMBERS_SHARE", 0.0)
    first = load_file(table(), **SETTINGS)
    again = load_file(table(), **SETTINGS)
    assert len(reads) == 2
    assert first.kept == again.kept
    assert first.kept.path.is_relative_to(folder)
    assert first.folder == again.folder == tmp_path
    assert_equal(first, within)
    assert_equal(again, within)


def load_pictures(path: Path) -> Dataset:
    inputs = {"picture": {"columns": "image", "image": {"height": 4, "width": 5}}}
    spec = DatasetSpec.model_validate({"uri": path.name, "label": "label", "inputs": inputs, "split": {"test": 0.0}})
    loss = {"softmax_cross_entropy": {"categories": True}}
    return loading.load(spec, path, [Output(layer="out", label=LABEL, loss=loss)], 1)


def test_a_folder_of_images_is_prepared_once_for_its_files_and_their_names(reads, tmp_path):
    root = tmp_path / "pictures"
    for number in range(4):
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(number).integers(0, 256, (4, 5, 3), np.uint8)
        Image.fromarray(values).save(root / "ab"[number % 2] / f"{number}.png")
    first, again = load_pictures(root), load_pictures(root)
    assert len(reads) == 1
    assert np.array_equal(first.train.x, again.train.x)
    (root / "a").rename(root / "c")
    assert load_pictures(root).targets["out"].classes == ("b", "c")
    Image.fromarray(values[::-1]).save(root / "b" / "3.png")
    assert not np.array_equal(load_pictures(root).train.x[1], first.train.x[3])
    assert len(reads) == 3
    table = tmp_path / "pictures.csv"
    table.write_text("image,label\npictures/b/1.png,b\npictures/b/3.png,c\n")
    load_pictures(table)
    load_pictures(table)
    assert len(reads) == 5, "the images that a table names may change without it"


@pytest.mark.parametrize(
    "change",
    [
        {"content": table(last=0.75)},
        {"seed": 2},
        {"standardize": False},
        {"loss": "mean_squared_error", "labels": {"label": "w"}},
        {"columns": {"a": {"impute": "mean", "indicator": True}, "b": {"log": True}}},
    ],
    ids=["content", "seed", "preparation", "label", "imputation"],
)
def test_whatever_decides_on_the_values_makes_another_set(load_file, reads, folder, change):
    load_file(table(), **SETTINGS)
    changed = {"content": table(), **SETTINGS, **change}
    if "labels" in changed:
        changed.pop("sample_weight")
    load_file(changed.pop("content"), **changed)
    assert len(reads) == 2
    assert len(list(folder.iterdir())) == 2


def test_a_file_that_moves_to_the_held_out_data_makes_another_set(reads, tmp_path):
    spec = DatasetSpec.model_validate({"uri": "train/*.csv", "validation": {"uri": "held/*.csv"}, "label": "y"})
    outputs = [Output(layer="out", label=LABEL, loss="mean_squared_error")]
    parts = tmp_path / "train", tmp_path / "held"
    for folder, numbers in zip(parts, ("12", "3"), strict=True):
        folder.mkdir()
        for number in numbers:
            (folder / f"{number}.csv").write_text("a,y\n" + f"{number},1\n" * 20)

    def rows():
        data = loading.load(spec, parts[0] / "*.csv", outputs, 1, validation=parts[1] / "*.csv")
        return data.rows("train"), data.rows("test")

    assert rows() == (40, 20)
    (parts[0] / "2.csv").rename(parts[1] / "2.csv")
    assert rows() == (20, 40)
    assert len(reads) == 2


def test_a_kept_set_names_the_folder_of_the_caller(tmp_path):
    (tmp_path / "a.csv").write_text(table())
    spec = DatasetSpec.model_validate({"uri": "a.csv", "label": "y", **SETTINGS})
    outputs = [Output(layer="out", label=LABEL, loss="softmax_cross_entropy")]
    (tmp_path / "job").mkdir()
    folders = [
        loading.load(spec, tmp_path / "a.csv", outputs, 1, folder=folder).folder
        for folder in (None, tmp_path / "job", None)
    ]
    assert folders == [tmp_path, tmp_path / "job", tmp_path]


def test_a_set_that_was_kept_just_now_is_not_read_back(load_file, monkeypatch):
    monkeypatch.setattr(prepared, "wrong_shards", lambda manifest, content: pytest.fail("was read"))
    assert load_file(table(), **SETTINGS).kept is not None


def test_the_checksums_are_those_of_the_file(load_file):
    kept = load_file(table(), **SETTINGS).kept
    content, manifest = kept.path.read_bytes(), kept.manifest
    parts = [content[start : start + 1000] for start in range(0, len(content), 1000)]
    assert len(parts) > 5
    assert manifest.checksums == [hashlib.sha256(part).hexdigest() for part in parts]
    assert [content[manifest.bytes_of(shard)] for shard in range(len(parts))] == parts
    assert len(content) == manifest.size


def test_names_and_augmentation_do_not_decide(load_file, reads):
    load_file(table(), **SETTINGS)
    load_file(table(), name="other.csv", augment={"numbers": {"noise": 0.1}}, **SETTINGS)
    assert len(reads) == 1


def test_a_file_that_changes_while_it_is_read_is_not_kept(load_file, folder, monkeypatch, tmp_path):
    read = loading.read

    def changing(*arguments):
        raw = read(*arguments)
        (tmp_path / "data.csv").write_text(table(last=0.25))
        return raw

    monkeypatch.setattr(loading, "read", changing)
    assert load_file(table(), **SETTINGS).kept is None
    assert not folder.exists()


@pytest.mark.parametrize("gib", ["nan", "inf", "-1", "much"])
def test_a_limit_that_is_no_number_is_that_without_one(monkeypatch, load_file, gib):
    monkeypatch.setenv(CACHE_GIB, gib)
    assert load_file(table(), **SETTINGS).kept is not None


def _flip(entry: Path, draw: np.random.Generator) -> None:
    rows = bytearray((entry / "rows").read_bytes())
    manifest = json.loads((entry / "manifest").read_text().partition("\n")[2])
    places = [Place(**place) for place in manifest["places"].values()]
    place = places[draw.integers(len(places))]
    rows[place.offset + int(draw.integers(place.size))] ^= 1
    (entry / "rows").write_bytes(rows)


def _truncate(entry: Path, draw: np.random.Generator) -> None:
    os.truncate(entry / "rows", (entry / "rows").stat().st_size - 1 - int(draw.integers(100)))


def _mutate(entry: Path, draw: np.random.Generator) -> None:
    text = bytearray((entry / "manifest").read_bytes())
    text[draw.integers(len(text))] = int(draw.integers(32, 127))
    (entry / "manifest").write_bytes(text)


def _lose(entry: Path, _: np.random.Generator) -> None:
    (entry / "manifest").unlink()


@pytest.mark.parametrize("damage", [_flip, _truncate, _mutate, _lose])
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_set_is_prepared_anew(load_file, folder, damage, seed):
    first = load_file(table(), **SETTINGS)
    expected = {name: array.copy() for name, array in first.arrays().items()}
    (entry,) = folder.iterdir()
    damage(entry, np.random.default_rng(seed))
    again = load_file(table(), **SETTINGS)
    assert all(np.array_equal(array, again.arrays()[name]) for name, array in expected.items())
    assert again.kept is not None
    assert PreparedSets().find(entry.name) is not None


def test_the_least_recently_used_sets_make_room(load_file, folder, monkeypatch):
    size = 0
    for seed in (1, 2, 3):
        kept = load_file(table(), seed=seed, **SETTINGS).kept
        size = sum(path.stat().st_size for path in kept.path.parent.iterdir())
        os.utime(kept.path.parent, (seed, seed))
    first, second, third = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime)
    load_file(table(), seed=1, **SETTINGS)  # used again
    monkeypatch.setenv(CACHE_GIB, str(3.5 * size / 2**30))
    load_file(table(), seed=4, **SETTINGS)
    left = set(folder.iterdir())
    assert first in left
    assert third in left
    assert second not in left


@pytest.mark.parametrize("gib", ["0", "0.000001"])
def test_a_set_without_room_is_not_kept(load_file, folder, monkeypatch, gib):
    monkeypatch.setenv(CACHE_GIB, gib)
    assert load_file(table(), **SETTINGS).kept is None
    assert not folder.exists()


def test_half_of_the_free_room_is_left(load_file, folder, monkeypatch):
    size = sum(path.stat().st_size for path in load_file(table(), **SETTINGS).kept.path.parent.iterdir())
    shutil.rmtree(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * size - 10_000))
    assert load_file(table(), **SETTINGS).kept is None
    assert list(folder.iterdir()) == []


def test_a_folder_that_other_users_may_write_to_is_not_used(load_file, folder, reads, monkeypatch):
    load_file(table(), **SETTINGS)
    (entry,) = folder.iterdir()
    folder.chmod(0o770)
    assert load_file(table(), **SETTINGS).kept is None
    assert PreparedSets().find(entry.name) is None
    folder.chmod(0o700)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
        assert load_file(table(), **SETTINGS).kept is None
    assert load_file(table(), **SETTINGS).kept is not None
    assert len(reads) == 3
    assert list(folder.iterdir()) == [entry]


def test_a_full_disk_keeps_nothing_and_training_goes_on(load_file, folder, monkeypatch):
    rename = Path.rename

    def full(path, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    data = load_file(table(), **SETTINGS)
    assert data.kept is None
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(Path, "rename", rename)
    assert load_file(table(), **SETTINGS).kept is not None


def test_what_an_ended_process_left_is_removed_after_a_day(load_file, folder):
    folder.mkdir(mode=0o700, parents=True)
    for name, age in ((".old", 90_000), (".young", 60)):
        (folder / name).mkdir()
        when = time.time() - age
        os.utime(folder / name, (when, when))
    load_file(table(), **SETTINGS)
    assert {path.name for path in folder.iterdir() if path.name.startswith(".")} == {".young"}


def test_a_set_that_is_removed_while_it_is_used_stays_mapped(load_file, folder):
    data = load_file(table(), **SETTINGS)
    before = {name: array.copy() for name, array in data.arrays().items()}
    shutil.rmtree(folder)
    assert all(np.array_equal(array, data.arrays()[name]) for name, array in before.items())
