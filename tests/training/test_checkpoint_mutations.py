"""Ten thousand damages to files, names and folder of checkpoints: no load returns values that were not saved."""

import hashlib
import json
import os
import random
import shutil
from contextlib import suppress

import numpy as np
import pytest

from raydient.files import LocalDisk
from raydient.server.jobs.artifacts import Artifacts
from raydient.server.jobs.directory import StateDirectory
from raydient.server.jobs.records import Job
from raydient.server.training.checkpoint_files import checksums_text
from raydient.spec.validation import validate_job

from .conftest import LAYOUT, SCHEDULE, SmallJob, arrays

MUTATIONS = 10_000
STEPS = (6, 12)
FILES = ("weights.safetensors", "optimizer.safetensors", "manifest.json", "SHA256SUMS")
STRAY = (
    "step-12.bak",
    "step-000000012.bak",
    "step-12",
    "step--00000012",
    "step-1e9",
    "STEP-000000013",
    "x" * 255,
    "step-" + "9" * 250,
    "step-000000099",
    ".partial-step-000000012",
    "step-" + "\N{FULLWIDTH DIGIT ONE}" * 9,
    "\x1b[2J",
    "step-\n",
)


class UnsyncedDisk(LocalDisk):
    """Makes nothing durable: no test here loses power, and ten thousand renamed folders would take minutes."""

    def sync(self, file):
        pass

    def sync_folder(self, folder):
        pass


class Mutator:
    """Damages a file or a name in `folder`, chosen by `chance`.

    `stranger` is the folder of another job with checkpoints of the same steps.
    """

    def __init__(self, folder, stranger, chance):
        self._folder, self._stranger, self._chance = folder, stranger, chance

    def mutate(self):
        """Damage something; return the kind of damage."""
        kinds = [self.flip, self.flip, self.truncate, self.extend, self.zero, self.swap, self.transplant,
                 self.rename, self.exchange_folders, self.stray, self.edit, self.edit_text, self.remove]  # fmt: skip
        kind = self._chance.choice(kinds)
        kind()
        return kind.__name__

    def _checkpoint(self):
        return self._folder / f"step-{self._chance.choice(STEPS):09d}"

    def _file(self):
        return self._checkpoint() / self._chance.choice(FILES)

    def flip(self):
        path = self._file()
        data = bytearray(path.read_bytes())
        for _ in range(self._chance.choice([1, 1, 1, 2, 9])):
            data[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(8)
        rewrite(path, data)

    def truncate(self):
        path = self._file()
        os.truncate(path, self._chance.randrange(path.stat().st_size))

    def extend(self):
        path = self._file()
        if self._chance.random() < 0.2:
            os.truncate(path, 1 << self._chance.choice([20, 32, 42]))
        else:
            rewrite(path, path.read_bytes() + self._chance.randbytes(self._chance.choice([1, 8, 4096])))

    def zero(self):
        path = self._file()
        data = bytearray(path.read_bytes())
        start = self._chance.randrange(len(data))
        stop = min(len(data), start + self._chance.choice([1, 64, 4096]))
        data[start:stop] = bytes(stop - start)
        rewrite(path, data)

    def swap(self):
        one, other = self._file(), self._file()
        first, second = one.read_bytes(), other.read_bytes()
        rewrite(one, second)
        rewrite(other, first)

    def transplant(self):
        """Copy one file or all files of another job's checkpoint."""
        target = self._checkpoint()
        chosen = self._chance.choice([FILES, [self._chance.choice(FILES)], self._chance.sample(FILES, 2)])
        source = self._stranger / self._chance.choice([target.name, "step-000000006"])
        for file in chosen:
            shutil.copyfile(source / file, target / file)

    def rename(self):
        step = self._chance.choice([0, 1, 7, 13, 999, 10**12])
        self._checkpoint().rename(self._folder / f"step-{step:09d}")

    def exchange_folders(self):
        one, other = (self._folder / f"step-{step:09d}" for step in STEPS)
        one.rename(self._folder / "between")
        other.rename(one)
        (self._folder / "between").rename(other)

    def stray(self):
        path = self._folder / self._chance.choice(STRAY)
        match self._chance.randrange(5):
            case 0:
                path.write_bytes(b"stray")
            case 1:
                path.mkdir()
            case 2:
                path.symlink_to(self._checkpoint())
            case 3:
                os.mkfifo(path)
            case 4:
                shutil.copytree(self._checkpoint(), path)

    def edit(self):
        """Change a value in the manifest; the checksums stay."""
        path = self._checkpoint() / "manifest.json"
        manifest = json.loads(path.read_text())
        key = self._chance.choice(list(manifest))
        values = [0, 1, -1, 10**30, 1e308, float("nan"), "", None, [], {}, manifest["round"] - 1, "b2"]
        manifest[key] = self._chance.choice([v for v in values if v != manifest[key]])
        path.write_text(json.dumps(manifest, indent=2))

    def edit_text(self):
        path = self._checkpoint() / "manifest.json"
        path.write_text(malform(path.read_text(), self._chance))

    def remove(self):
        path = self._file() if self._chance.random() < 0.7 else self._checkpoint()
        remove(path)


def malform(text, chance):
    """Return a manifest at which a JSON parser may fail."""
    return chance.choice(
        [
            text.replace('"round": ', '"round": 0, "round": ', 1),
            text.replace('"epoch_sums": [', '"epoch_sums": [NaN, -Infinity, 1e999, ', 1),
            text.replace('"step": ', '"step": ' + "9" * 5000, 1),
            text.replace('"epoch_sums": [', '"epoch_sums": [' + "[" * 5000, 1),
            text.replace('"epoch_sums": [', '"epoch_sums": ' + "[" * 3000 + "]" * 3000 + ', "more": [', 1),
            text.replace("{", '{"more": 1, ', 1),
            "\ufeff" + text,
            text + text,
            text.replace('"job": "a1"', '"job": "a\\u0031\\u0000"', 1),
        ]
    )


@pytest.fixture
def stored(tmp_path):
    """Return the checkpoints of the job and of another job, and the API's reader of them."""
    state = StateDirectory(tmp_path / "state")
    ours, stranger = (SmallJob(state.job(job) / "checkpoints", job=job, disk=UnsyncedDisk()) for job in ("a1", "b2"))
    for step in STEPS:
        ours.save(step)
        stranger.save(step, values=step + 100)
    yield ours, stranger, Artifacts(state)
    state.close()


def content(folder):
    return {os.path.join(folder, f"step-{step:09d}", file): (folder / f"step-{step:09d}" / file).read_bytes()
            for step in STEPS for file in FILES}  # fmt: skip


def restore(folder, kept):
    """Restore the folder by writing only files that differ, which is faster than writing all."""
    folders = {f"step-{step:09d}" for step in STEPS}
    for entry in list(os.scandir(folder)):
        aside = entry.name.removesuffix(".damaged-1")
        if entry.name not in folders:
            if aside in folders and entry.is_dir(follow_symlinks=False) and not os.path.lexists(folder / aside):
                os.rename(entry, folder / aside)
            else:
                remove(entry.path)
    for name in folders:
        os.makedirs(folder / name, exist_ok=True)
    for path, data in kept.items():
        if not os.path.isfile(path) or os.path.getsize(path) != len(data) or read(path) != data:
            rewrite(path, data)


def rewrite(path, data):
    """Write the file anew. A file system may flush one that is truncated and written again, which takes as long as a
    sync.
    """
    with suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "wb") as file:
        file.write(data)


def remove(path):
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def manifests(job):
    loaded = {}
    for step in STEPS:
        path = job.directory / f"step-{step:09d}" / "manifest.json"
        loaded[step] = json.loads(path.read_text())
    return loaded


def test_no_damage_loads_anything_but_what_was_saved(stored):
    job, stranger, artifacts = stored
    kept, written = content(job.directory), manifests(job)
    network = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
    record = Job("a1", validate_job({"dataset": {"uri": "a"}, "network": network}), None)
    chance = random.Random(1)
    mutator = Mutator(job.directory, stranger.directory, chance)
    outcomes = {6: 0, 12: 0, None: 0}
    for number in range(MUTATIONS):
        done = [mutator.mutate()]
        if chance.random() < 0.2 and done != ["extend"]:  # which may have made a file too large to read
            with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # it may be damaged already
                done.append(mutator.mutate())
        listed = {checkpoint.step: checkpoint.digest for checkpoint in artifacts.checkpoints(record)}
        assert all(listed[step] == written[step]["digest"] for step in listed), (number, done)
        entries = len(os.listdir(job.directory))
        loaded, damage = job.checkpoints.load_latest()
        assert len(os.listdir(job.directory)) == entries, "nothing is deleted"
        step = None if loaded is None else loaded.manifest.step
        outcomes[step] += 1
        assert step == 12 or damage or "remove" in done or "rename" in done, (number, done)
        if loaded is not None:
            known = json.loads(json.dumps(written[step]))
            assert (loaded.manifest.round, list(loaded.manifest.epoch_sums)) == (known["round"], known["epoch_sums"])
            assert (loaded.manifest.digest, loaded.manifest.created) == (known["digest"], known["created"])
            assert all(np.array_equal(loaded.arrays[n], a) for n, a in arrays(step).items()), (number, done)
        restore(job.directory, kept)
    assert min(outcomes.values()) > 100, "every outcome was met"


def test_a_manifest_that_contradicts_itself_is_refused_though_its_checksum_is_right(stored):
    job, _, _ = stored
    kept, chance = content(job.directory), random.Random(2)
    mutator = Mutator(job.directory, job.directory, chance)
    for _ in range(500):
        (mutator.edit if chance.random() < 0.5 else mutator.edit_text)()
        for step in STEPS:
            folder = job.directory / f"step-{step:09d}"
            sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES[:3]}
            (folder / "SHA256SUMS").write_bytes(checksums_text(sums))
        loaded = job.load()
        if loaded is not None:
            manifest = loaded.manifest
            assert SCHEDULE.position(manifest.round) == (manifest.epoch, manifest.step)
            assert (manifest.job, manifest.digest) == ("a1", LAYOUT.digest(loaded.arrays["weights"]))
        restore(job.directory, kept)
