"""Checkpoints are whole or absent, and the newest whole one is found."""

import numpy as np
import pytest
from safetensors import safe_open

from raydient.server.training import checkpoints
from raydient.server.training.checkpoints import load_latest, save_checkpoint
from raydient.server.training.reports import EpochEnded
from raydient.wire.layout import Layout
from raydient.wire.scores import EPOCH_SCORES

HISTORY = [EpochEnded(1, 3, 0.5, {"train": {"loss": 0.1}})]
LAYOUT = Layout.of([("a.kernel", (2, 3)), ("a.bias", (3,))])


def arrays(value):
    return {
        "weights": np.arange(9, dtype=np.float32) + value,
        "velocity": np.arange(9, dtype=np.float32) * value,
    }


def position(step, epoch_sums=()):
    return {
        "round": step + 1,
        "step": step,
        "epoch": 0,
        "epoch_sums": list(epoch_sums),
        "numerics": {"numpy": "2"},
        "history": HISTORY,
    }


def save(directory, value, position, keep):
    digest = LAYOUT.digest(arrays(value)["weights"])
    save_checkpoint(directory, LAYOUT, arrays(value), position, metadata={"digest": digest, "more": "ü"}, keep=keep)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    save(tmp_path, 5, position(7, [3, 0.1, 1e300]), keep=2)
    loaded = load_latest(tmp_path, LAYOUT, ["velocity"])
    assert loaded is not None
    assert (loaded.manifest.step, loaded.manifest.round) == (7, 8)
    assert list(loaded.manifest.epoch_sums) == [3, 0.1, 1e300]
    assert list(loaded.manifest.history) == HISTORY
    assert loaded.manifest.digest == LAYOUT.digest(arrays(5)["weights"])
    for name, array in arrays(5).items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    with safe_open(tmp_path / "step-000000007" / "weights.safetensors", framework="np") as file:
        assert file.metadata() == {"digest": loaded.manifest.digest, "more": "ü"}


def test_scores_of_the_unfinished_epoch_are_kept(tmp_path):
    scores = np.arange(35, dtype=np.uint8)
    told = {**arrays(1), EPOCH_SCORES: scores}
    save_checkpoint(tmp_path, LAYOUT, told, position(7), metadata={"digest": "0"}, keep=1)
    loaded = load_latest(tmp_path, LAYOUT, ["velocity"])
    assert loaded.arrays[EPOCH_SCORES].tolist() == scores.tolist()
    assert loaded.arrays.keys() == told.keys()


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert load_latest(tmp_path / "absent", LAYOUT, []) is None


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 10, 200):
        save(tmp_path, step, position(step), keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000010", "step-000000200"]


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "absent", "flipped"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, file, damage):
    for step in (1, 2):
        save(tmp_path, step, position(step), keep=2)
    path = tmp_path / "step-000000002" / file
    data = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        # in the manifest: a digit of a checksum, which then fits no file
        place = data.index(b"sha256") + 60 if file == "manifest.json" else len(data) - 1
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    loaded = load_latest(tmp_path, LAYOUT, ["velocity"])
    assert loaded is not None
    assert loaded.manifest.step == 1


def test_a_checkpoint_of_another_optimizer_is_passed_over(tmp_path):
    save(tmp_path, 1, position(1), keep=2)
    assert load_latest(tmp_path, LAYOUT, ["first_moment", "second_moment"]) is None


@pytest.mark.parametrize("failing_write", [1, 2, 3])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_nothing_else(tmp_path, monkeypatch, failing_write):
    save(tmp_path, 1, position(1), keep=1)
    write, writes = checkpoints._write_durably, []

    def full(path, data):
        writes.append(path)
        if len(writes) == failing_write:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(checkpoints, "_write_durably", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 2, position(2), keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000001"]
    loaded = load_latest(tmp_path, LAYOUT, ["velocity"])
    assert loaded is not None
    assert loaded.manifest.step == 1


def test_what_a_killed_writer_left_is_no_checkpoint_and_is_replaced(tmp_path):
    (tmp_path / ".partial-step-000000003").mkdir()
    (tmp_path / ".partial-step-000000003" / "weights.safetensors").write_bytes(b"half")
    assert load_latest(tmp_path, LAYOUT, []) is None
    save(tmp_path, 3, position(3), keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000003"]
