"""The runs of `raydient train`: names, locks, lists, removal, resumption and refusals."""

import json
import os
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raydient.client.cli import program
from raydient.client.cli.failures import Failure
from raydient.client.cli.runs import RUN_FILE, Run, Runs, read_run, sha256_of
from raydient.server import embedded
from raydient.server.training.reports import Finished, Outcome, Started

RUN = Run(
    name="Two Points.v2",
    job="/jobs/points.yaml",
    specification={},
    data=["/data/points.csv"],
    sha256="0" * 64,
    output="/points.onnx",
    transport="auto",
    cluster="local",
    created="2026-01-02T03:04:05.000+00:00",
)


def test_several_files_have_one_digest(tmp_path: Path) -> None:
    pattern, digests = tmp_path / "part-*.csv", set()
    for name, content in (("part-1.csv", "a"), ("part-2.csv", "b"), ("part-1.csv", "c")):
        (tmp_path / name).write_text(content)
        digests.add(sha256_of(pattern))
    (tmp_path / "part-1.csv").rename(tmp_path / "part-3.csv")
    assert len(digests | {sha256_of(pattern)}) == 4
    assert sha256_of(tmp_path / "part-3.csv") == sha256(b"c").hexdigest()
    listed = tuple(tmp_path / name for name in ("part-3.csv", "part-2.csv"))
    assert sha256_of(listed) != sha256_of(listed[::-1])


def test_the_labels_of_images_are_part_of_their_digest(tmp_path: Path) -> None:
    digests = set()
    (tmp_path / "a-images-idx3-ubyte").write_text("images")
    for labels in ("one", "other"):
        (tmp_path / "a-labels-idx1-ubyte").write_text(labels)
        digests.add(sha256_of(tmp_path / "a-images-idx3-ubyte"))
    assert len(digests) == 2


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "train")


def checkpoint(folder: Path) -> None:
    (folder / "checkpoints" / "step-000000005").mkdir(parents=True)


def begun(runs: Runs, **fields: str) -> str:
    """Name of a run that was interrupted after a checkpoint."""
    with runs.begin(replace(RUN, **fields)) as folder:
        checkpoint(folder)
    return folder.name


def test_a_run_is_named_after_its_job_and_private(runs: Runs) -> None:
    with runs.begin(RUN) as folder:
        assert folder.name.startswith("two-points-v2-")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert read_run(folder) == replace(RUN, name=folder.name)


def test_a_folder_in_use_is_not_taken_twice(runs: Runs) -> None:
    with runs.begin(RUN) as folder:
        other = Runs(runs.root)
        with pytest.raises(Failure, match="is in use by another process"), other.take(folder.name):
            pass
        with pytest.raises(Failure, match="is in use by another process"):
            other.remove(folder.name)
        other.sweep()
        assert [(one.name, one.state) for one in other.list()] == [(folder.name, "running")]
    other.sweep()
    assert other.list() == [], "without a checkpoint it is of no use"


def test_a_run_with_a_checkpoint_is_kept_until_it_is_removed(runs: Runs) -> None:
    name = begun(runs)
    runs.sweep()
    with runs.take(name) as (folder, run):
        assert (folder.name, run.job) == (name, RUN.job)
    runs.remove(name)
    assert runs.list() == []


def test_a_run_that_was_not_used_for_months_is_removed(runs: Runs) -> None:
    old, recent = begun(runs), begun(runs)
    for name, days in ((old, 91), (recent, 89)):
        for part in ("run.json", "checkpoints"):
            os.utime(runs.root / name / part, (at := time.time() - days * 86_400, at))
    with runs.take(old):
        runs.sweep()
        assert {one.name for one in runs.list()} == {old, recent}, "a process holds it"
    runs.sweep()
    assert [one.name for one in runs.list()] == [recent]


def test_damaged_checkpoints_are_kept_and_partial_ones_are_not(runs: Runs) -> None:
    with runs.begin(RUN) as damaged:
        (damaged / "checkpoints" / "step-000000120.damaged-1").mkdir(parents=True)
    with runs.begin(RUN) as partial:
        (partial / "checkpoints" / ".partial-step-000000120").mkdir(parents=True)
    runs.sweep()
    assert [(one.name, one.step) for one in runs.list()] == [(damaged.name, 0)]


@pytest.mark.parametrize("name", ["", ".", "..", "../train", "/etc", "none"])
def test_names_of_no_run(runs: Runs, name: str) -> None:
    begun(runs)
    with pytest.raises(Failure, match="there is no run") as caught:
        runs.remove(name)
    assert caught.value.status == 4
    assert len(runs.list()) == 1


def test_resume_without_a_name_takes_the_newest_run(runs: Runs, tmp_path: Path) -> None:
    job = tmp_path / "points.yaml"
    old, new = (begun(runs, job=str(job), created=f"2026-01-0{day}") for day in (1, 2))
    begun(runs, job="/other.yaml", created="2026-01-03")
    begun(runs, job=str(job), created="2026-01-04", reason="NON_FINITE")
    assert runs.newest(job) == new
    runs.remove(new)
    assert runs.newest(job) == old
    runs.remove(old)
    with pytest.raises(Failure, match="there is no interrupted run of"):
        runs.newest(job)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "raydient-run/9"}'])
def test_an_unreadable_description_is_listed_as_unreadable(runs: Runs, text: str) -> None:
    name = begun(runs)
    (runs.root / name / RUN_FILE).write_text(text)
    assert [(one.name, one.state, one.run) for one in runs.list()] == [(name, "unreadable", None)]
    with pytest.raises(Failure, match="cannot be read"), runs.take(name):
        pass


# ---- the command


class Interrupted:
    """Replaces `embedded.train`: the first run is interrupted after a checkpoint, the next one succeeds."""

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []
        self.end = Finished(Outcome.PAUSED, 5)

    def __call__(
        self, spec, dataset, *, validation, directory, report, transport, cluster, files, orders, sha256
    ) -> Finished:
        self.calls.append({"spec": spec, "dataset": dataset, "directory": directory, "transport": transport})
        self.calls[-1]["validation"] = validation
        self.calls[-1]["sha256"] = sha256
        report(Started(0, 2))
        if len(self.calls) == 1:
            checkpoint(directory)
            return self.end
        (directory / "model.safetensors").write_bytes(b"weights")
        return Finished(Outcome.SUCCEEDED, 10, digest="d" * 64)


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    training = Interrupted()
    monkeypatch.setattr(embedded, "train", training)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return training


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(program, [str(a) for a in arguments])


def listed() -> list[dict[str, object]]:
    runs: list[dict[str, object]] = json.loads(run("train", "--list", "--json").stdout)["runs"]
    return runs


def test_an_interrupted_run_prints_how_to_resume_and_is_resumed(
    training: Interrupted, job_yaml: Path, tmp_path: Path
) -> None:
    done = run("train", job_yaml, "--workers", 3, "--transport", "tcp")
    assert done.exit_code == 130
    [kept] = listed()
    name = kept["name"]
    assert (kept["state"], kept["job"]) == ("interrupted", str(job_yaml.resolve()))
    assert done.stderr.splitlines() == [
        "a checkpoint was taken at step 5",
        f"Its last checkpoint is kept. Go on: raydient train --resume {name}",
        "interrupted",
    ]
    assert str(name) in run("train", "--list").stdout
    job_yaml.unlink()  # the specification is that of the beginning
    done = run("train", "--resume", name, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["model"] == str(tmp_path / "here" / "points.safetensors")
    first, second = training.calls
    assert first == second
    assert (tmp_path / "here" / "points.safetensors").read_bytes() == b"weights"
    assert listed() == []


@pytest.mark.parametrize("by", ["nothing", "the job file"])
def test_the_newest_run_is_resumed(training: Interrupted, job_yaml: Path, by: str) -> None:
    run("train", job_yaml)
    assert run("train", "--resume", *([job_yaml] if by == "the job file" else [])).exit_code == 0


def test_changed_data_is_refused_with_the_remedy(training: Interrupted, job_yaml: Path) -> None:
    run("train", job_yaml)
    data = job_yaml.parent / "points.csv"
    before = data.read_bytes()
    data.write_bytes(before + b"9,9\n")
    done = run("train", "--resume")
    assert done.exit_code == 6
    assert f"{data} has changed since points-" in done.stderr
    assert f"put the file back that it began with, or begin anew: raydient train {job_yaml.resolve()}" in done.stderr
    data.unlink()
    assert "cannot be read" in run("train", "--resume").stderr
    assert len(training.calls) == 1
    data.write_bytes(before)
    assert run("train", "--resume").exit_code == 0


def test_changed_held_out_data_are_refused_too(training: Interrupted, job_yaml: Path) -> None:
    own = job_yaml.with_name("own.csv")
    own.write_text("a,b,y\n7,8,9\n")
    text = job_yaml.read_text().replace("uri: points.csv", "uri: points.csv\n  validation: {uri: own.csv}")
    job_yaml.write_text(text)
    run("train", job_yaml)
    assert training.calls[0]["validation"] == own.resolve()
    own.write_text("a,b,y\n7,8,0\n")
    assert f"{own} has changed since points-" in run("train", "--resume").stderr
    own.write_text("a,b,y\n7,8,9\n")
    assert run("train", "--resume").exit_code == 0
    assert training.calls[0] == training.calls[1]


@pytest.mark.parametrize(("reason", "goes_on"), [("STORAGE", True), ("NON_FINITE", False)])
def test_a_run_that_failed(training: Interrupted, job_yaml: Path, reason: str, goes_on: bool) -> None:
    training.end = Finished(Outcome.FAILED, 5, reason=reason, message="why it failed")
    assert run("train", job_yaml).exit_code == 1
    [kept] = listed()
    assert kept["state"] == "failed"
    done = run("train", "--resume", kept["name"])
    assert done.exit_code == (0 if goes_on else 6)
    if not goes_on:
        assert f"by its own fault and would fail again: {reason}: why it failed" in done.stderr
        assert run("train", "--remove", kept["name"]).exit_code == 0
    assert listed() == []


def test_without_runs(training: Interrupted) -> None:
    assert listed() == []
    assert run("train", "--resume").exit_code == run("train", "--remove", "none").exit_code == 4


@pytest.mark.parametrize("arguments", [[], ["a.yaml", "--list"], ["--list", "--resume"], ["a.yaml", "--resume", "b"]])
def test_one_thing_at_a_time(training: Interrupted, arguments: list[str]) -> None:
    done = run("train", *arguments)
    assert done.exit_code == 2
    assert "give one of JOB.yaml, --resume, --list and --remove" in done.stderr
