"""Checkpoints are whole or absent; the newest good one is loaded, and a damaged one is set aside and reported."""

import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open

from raydient.server.training import checkpoints
from raydient.server.training.checkpoint_files import folder_name, good_manifests, step_of, version_of
from raydient.steps.scores import EPOCH_SCORES
from raydient.steps.watched import Watched

from .conftest import LAYOUT, SmallJob, arrays

FILES = ["weights.safetensors", "optimizer.safetensors", "manifest.json", "SHA256SUMS"]


def names(job):
    return sorted(path.name for path in job.directory.iterdir())


def test_what_is_saved_is_what_is_loaded(small_job):
    assert small_job.save(7, epoch_sums=[3, 0.1, 1e300]) == []
    loaded, damage = small_job.checkpoints.load_latest()
    assert damage == []
    manifest = loaded.manifest
    assert (manifest.job, manifest.step, manifest.round, manifest.epoch) == ("a1", 7, 8, 1)
    assert list(manifest.epoch_sums) == [3, 0.1, 1e300]
    assert manifest.digest == LAYOUT.digest(arrays(7)["weights"])
    for name, array in arrays(7).items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    with safe_open(small_job.directory / "step-000000007" / "weights.safetensors", framework="np") as file:
        assert file.metadata() == {"digest": manifest.digest, "more": "ü"}


def test_scores_of_the_unfinished_epoch_are_kept(small_job):
    scores = np.arange(35, dtype=np.uint8)
    small_job.save(7, more={EPOCH_SCORES: scores})
    loaded = small_job.load()
    assert loaded.arrays[EPOCH_SCORES].tolist() == scores.tolist()
    assert loaded.arrays.keys() == {"weights", "velocity", EPOCH_SCORES}


def test_the_weights_of_the_best_epoch_are_a_model_beside_the_others(small_job):
    small_job.save(7, best=5)
    loaded = small_job.load()
    np.testing.assert_array_equal(loaded.arrays["best"], arrays(5)["weights"])
    np.testing.assert_array_equal(loaded.arrays["weights"], arrays(7)["weights"])
    assert loaded.manifest.watched == {"keep": Watched(0.25, 1, 3)}
    assert loaded.manifest.best_digest == LAYOUT.digest(arrays(5)["weights"])
    with safe_open(small_job.directory / "step-000000007" / "best.safetensors", framework="np") as file:
        assert file.metadata() == {"digest": loaded.manifest.best_digest}


def without_the_line_of(folder, name):
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(line for line in lines if not line.endswith(f"{name}\n")))


@pytest.mark.parametrize("do", [without_the_line_of, lambda folder, name: (folder / name).unlink()])
@pytest.mark.parametrize("model", ["best", "average"])
def test_a_checkpoint_without_its_further_models_is_damaged(small_job, do, model):
    small_job.save(5, best=5, average=4)
    small_job.save(7, best=5, average=6)
    do(small_job.directory / "step-000000007", f"{model}.safetensors")
    loaded, (damage,) = small_job.checkpoints.load_latest()
    assert (loaded.manifest.step, damage.name) == (5, "step-000000007")
    np.testing.assert_array_equal(loaded.arrays["average"], arrays(4)["weights"])
    assert f"{model}.safetensors" in damage.why


@pytest.mark.parametrize("more", [{}, {"best": 5}])
def test_the_average_is_a_model_beside_the_others(small_job, more):
    small_job.save(7, average=6, **more)
    loaded = small_job.load()
    np.testing.assert_array_equal(loaded.arrays["average"], arrays(6)["weights"])
    assert loaded.manifest.average_digest == LAYOUT.digest(arrays(6)["weights"])
    assert loaded.arrays.keys() == {"weights", "velocity", "average", *more}


def test_the_checksums_are_those_of_sha256sum(small_job):
    small_job.save(7, best=5, average=6)
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=small_job.directory / "step-000000007", check=True)


def test_without_a_checkpoint_there_is_none(small_job):
    assert small_job.checkpoints.load_latest() == (None, [])


def test_only_the_newest_are_kept(small_job):
    for step in (1, 2, 10, 200):
        small_job.save(step)
    assert names(small_job) == ["step-000000010", "step-000000200"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["truncated", "absent", "flipped", "a folder", "a link", "a pipe", "huge"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(small_job, file, damage):
    for step in (1, 2):
        small_job.save(step)
    path = small_job.directory / "step-000000002" / file
    data = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    elif damage == "huge":
        with path.open("r+b") as opened:
            opened.truncate(1 << 40)  # a hole: no room is taken
    else:
        path.unlink()
        if damage == "a folder":
            path.mkdir()
        elif damage == "a link":
            path.symlink_to(small_job.directory / "step-000000001" / file)
        elif damage == "a pipe":
            os.mkfifo(path)
    loaded, damage = small_job.checkpoints.load_latest()
    assert loaded.manifest.step == 1
    assert [(one.name, one.kept_as) for one in damage] == [("step-000000002", "step-000000002.damaged-1")]
    assert file in damage[0].why
    assert names(small_job) == ["step-000000001", "step-000000002.damaged-1"]
    assert small_job.checkpoints.load_latest()[1] == [], "reported once"


def test_where_none_is_good_nothing_is_loaded_and_all_are_reported(small_job):
    for step in (1, 2):
        small_job.save(step)
        (small_job.directory / folder_name(step) / "manifest.json").write_text("{}")
    loaded, damage = small_job.checkpoints.load_latest()
    assert loaded is None
    assert [one.name for one in damage] == ["step-000000002", "step-000000001"]
    assert str(damage[0]) == (
        "checkpoint step-000000002 is damaged: manifest.json does not have the SHA-256 that SHA256SUMS gives; "
        "it is kept as step-000000002.damaged-1"
    )


@pytest.mark.parametrize("other", ["a2", "another step", "another optimizer"])
def test_a_whole_checkpoint_of_something_else_is_not_loaded(small_job, tmp_path, other):
    small_job.save(1)
    if other == "a2":
        stranger = SmallJob(tmp_path / "stranger", job="a2")
        stranger.save(2)
        shutil.copytree(stranger.directory / "step-000000002", small_job.directory / "step-000000002")
        why = "it belongs to job 'a2'"
    elif other == "another step":
        shutil.copytree(small_job.directory / "step-000000001", small_job.directory / "step-000000002")
        why = "it is the checkpoint of step 1"
    else:
        small_job.save(2)
        assert replace(small_job, state=("first", "second")).load() is None
        return
    loaded, damage = small_job.checkpoints.load_latest()
    assert loaded.manifest.step == 1
    assert [one.why for one in damage] == [why]


def test_a_checkpoint_of_a_version_without_checksums_is_named_as_such(small_job):
    small_job.save(1)
    (small_job.directory / "step-000000001" / "SHA256SUMS").unlink()
    (damage,) = small_job.checkpoints.load_latest()[1]
    assert damage.why == "it has no SHA256SUMS, as checkpoints of earlier versions"


def test_damaged_ones_do_not_count_as_kept(small_job):
    for step in (1, 2):
        small_job.save(step, keep=2)
    (small_job.directory / "step-000000002" / "manifest.json").unlink()
    assert small_job.load().manifest.step == 1
    small_job.save(2, keep=2)
    assert names(small_job) == ["step-000000001", "step-000000002", "step-000000002.damaged-1"]
    (small_job.directory / "step-000000002" / "manifest.json").unlink()
    assert small_job.load().manifest.step == 1
    assert names(small_job)[1:] == ["step-000000002.damaged-1", "step-000000002.damaged-2"]


def test_what_is_newer_than_the_last_is_neither_counted_nor_removed(small_job):
    small_job.save(9)
    small_job.save(1, keep=1)
    small_job.save(2, keep=1)
    assert names(small_job) == ["step-000000002", "step-000000009"]


@pytest.mark.parametrize(
    "stray", ["step-000000002", "step-12.bak", "step-", "step-2", "step-" + "9" * 200, "step-٣٣٣٣٣٣٣٣٣"]
)
@pytest.mark.parametrize("kind", ["a file", "a folder", "a dangling link", "a folder that cannot be read"])
def test_stray_entries_are_no_checkpoints_and_do_no_harm(small_job, stray, kind):
    small_job.save(1)
    path = small_job.directory / stray
    if kind == "a file":
        path.write_text("stray")
    elif kind == "a dangling link":
        path.symlink_to("nowhere")
    else:
        path.mkdir(0o000 if kind == "a folder that cannot be read" else 0o777)
    assert small_job.load().manifest.step == 1
    assert small_job.checkpoints.steps() == [1]
    small_job.save(2, keep=1)
    assert small_job.load().manifest.step == 2
    aside = ["step-000000002.damaged-1"] if stray == "step-000000002" else [stray]
    assert names(small_job) == sorted({"step-000000002", *aside})


@pytest.mark.parametrize("step", [0, 1, 999_999_999, 10**9, 10**17])
def test_names_and_steps_are_one_to_one(step):
    assert step_of(folder_name(step)) == step
    assert step_of(folder_name(step, 12)) == step
    assert version_of(folder_name(step, 12)) == 12
    for name in ("step-0" + folder_name(step)[5:], f"{folder_name(step)}.1", f"{folder_name(step)}.02"):
        assert step_of(name) is None


def test_the_same_step_again_is_kept_as_it_is(small_job):
    small_job.save(3)
    before = {path.name: path.stat().st_ino for path in (small_job.directory / "step-000000003").iterdir()}
    assert small_job.save(3) == []
    assert {path.name: path.stat().st_ino for path in (small_job.directory / "step-000000003").iterdir()} == before


def test_a_later_position_at_the_same_step_replaces_it(small_job):
    small_job.save(1)
    small_job.save(3, best=1)
    for sums in ((1.0, 2.0), (0.0, 0.0)):
        assert small_job.save(3, epoch_sums=sums, best=3, keep=2) == []
    loaded = small_job.load()
    assert (loaded.manifest.step, loaded.manifest.epoch_sums) == (3, [0.0, 0.0])
    np.testing.assert_array_equal(loaded.arrays["best"], arrays(3)["weights"])
    assert names(small_job) == ["step-000000001", "step-000000003.3"]
    assert small_job.checkpoints.steps() == [1, 3]
    small_job.checkpoints.discard(3)
    assert names(small_job) == ["step-000000001"]


def test_of_two_positions_of_a_step_the_later_good_one_counts(small_job):
    small_job.save(3)
    earlier = small_job.directory / "step-000000003"
    shutil.copytree(earlier, small_job.directory / "kept")
    small_job.save(3, epoch_sums=(1.0, 2.0))
    (small_job.directory / "kept").rename(earlier)  # as if the process had ended before it removed it
    assert [path.name for path, *_ in good_manifests(small_job.directory, "a1")] == ["step-000000003.2"]
    assert small_job.load().manifest.epoch_sums == [1.0, 2.0]
    (small_job.directory / "step-000000003.2" / "SHA256SUMS").unlink()
    assert [path.name for path, *_ in good_manifests(small_job.directory, "a1")] == ["step-000000003"]
    (damage,) = small_job.save(3, epoch_sums=(2.0, 2.0))
    assert damage.kept_as == "step-000000003.2.damaged-1"
    assert names(small_job) == ["step-000000003.2", "step-000000003.2.damaged-1"]


def test_other_weights_at_the_same_step_are_set_aside(small_job):
    small_job.save(3)
    (damage,) = small_job.save(3, values=4)
    assert damage.kept_as == "step-000000003.damaged-1"
    np.testing.assert_array_equal(small_job.load().arrays["weights"], arrays(4)["weights"])


@pytest.mark.parametrize("failing_write", [1, 2, 3, 4])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_nothing_else(small_job, monkeypatch, failing_write):
    small_job.save(1)
    write, writes = checkpoints.write_new, []

    def full(path, data, disk):
        writes.append(path)
        if len(writes) == failing_write:
            raise OSError(28, "No space left on device")
        write(path, data, disk)

    monkeypatch.setattr(checkpoints, "write_new", full)
    with pytest.raises(OSError, match="No space left"):
        small_job.save(2, keep=1)
    assert names(small_job) == ["step-000000001"]
    assert small_job.load().manifest.step == 1


def test_leftovers_of_a_killed_writer_are_no_checkpoint_and_are_removed(small_job):
    small_job.save(1)
    for name in (".partial-step-000000003", ".partial-removed-step-000000001"):
        (small_job.directory / name).mkdir()
        (small_job.directory / name / "weights.safetensors").write_bytes(b"half")
    (small_job.directory / ".partial-link").symlink_to(small_job.directory / "step-000000001")
    small_job.checkpoints.remove_leftovers()
    assert names(small_job) == ["step-000000001"]
    assert small_job.load().manifest.step == 1


def test_a_checkpoint_obeys_the_umask(small_job):
    before = os.umask(0o077)
    try:
        small_job.save(1)
    finally:
        os.umask(before)
    folder = small_job.directory / "step-000000001"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
