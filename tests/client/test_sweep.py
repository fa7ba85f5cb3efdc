"""Sweeps: files that are refused, trials that are stored, and interruptions after which they go on."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from raydient.client import InvalidSpec, JobNotSucceeded, NotAllowed, extras, training
from raydient.client.cli import program
from raydient.client.sweep_file import open_sweep, short_names, with_values
from raydient.client.sweep_trials import Trials, open_trials
from raydient.client.sweeping import are_portable
from raydient.spec.reading import open_job_file
from raydient.v1.training_job_pb2 import EpochEnded, Metric

SWEEP = """\
job: points.yaml
metric: loss
sampler: random
trials: 3
seed: 5
search:
  training.optimizer.sgd.learning_rate: {log_uniform: [1e-4, 1e-1]}
  network.layers[0].dense.units: {choice: [1]}
  training.epochs: {integer: [1, 4]}
"""
GRID = """\
job: points.yaml
sampler: grid
search:
  training.batch_size: {choice: [1, 2]}
  training.optimizer: {choice: [sgd, {adam: {learning_rate: 0.5}}]}
"""


@pytest.fixture
def sweep_yaml(job_yaml: Path) -> Path:
    job_yaml.with_name("points.csv").write_text("a,b,y\n" + "1,2,3\n2,1,5\n" * 20)
    path = job_yaml.with_name("sweep.yaml")
    path.write_text(SWEEP)
    return path


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("job: points.yaml", "", "job: is missing: the path of a job file"),
        ("sampler: random", "sampler: best", "line 3: sampler: there is no 'best'; there are: grid, random, tpe"),
        ("trials: 3", "", "trials: is missing"),
        ("trials: 3", "trials: 0", "line 4: trials: 0: a whole number is needed, 1 to 10,000"),
        ("seed: 5", "sed: 5", "line 5: sed: unknown key; did you mean seed?"),
        ("{choice: [1]}", "[1]", "one of choice, uniform, log_uniform, integer, log_integer is needed"),
        ("{choice: [1]}", "{choice: [1, 1]}", "units.choice: [1, 1]: a value is there twice"),
        (
            "[1e-4, 1e-1]",
            "[0, 1e-1]",
            "optimizer.sgd.learning_rate.log_uniform: [0, 0.1]: a logarithmic range is above 0",
        ),
        ("[1, 4]", "[4, 1]", "search.training.epochs.integer: [4, 1]: two whole numbers, the smaller one first"),
        ("[1, 4]", "[1, 4.5]", "two whole numbers"),
        (
            "training.epochs: {integer: [1, 4]}",
            "training.optimizer: {choice: [sgd, adam]}",
            "optimizer.sgd.learning_rate: is a part of training.optimizer, which is searched too: leave one",
        ),
        ("random", "grid", "a grid takes choices, not log_uniform"),
        ("random", "grid", "trials: a grid tries every combination"),
    ],
)
def test_files_that_break_rules(sweep_yaml: Path, before: str, after: str, message: str) -> None:
    sweep_yaml.write_text(SWEEP.replace(before, after))
    with pytest.raises(InvalidSpec) as caught:
        open_sweep(sweep_yaml)
    assert message in str(caught.value)


def test_a_job_file_is_no_sweep(sweep_yaml: Path) -> None:
    job = sweep_yaml.with_name("points.yaml")
    done = sweep(job)
    assert (done.exit_code, done.stderr) == (
        2,
        f"{job}: is a job file: a sweep names one by `job`, and the fields to try by `search`\n",
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("training.epoch", "search.training.epoch: with training.epoch=1: unknown key; did you mean epochs?"),
        ("network.layers[3].dense.units", "network.layers has 1 items, from [0] on"),
        ("training.epochs.more", "training.epochs has no fields"),
        ("training..epochs", "is no path of a field"),
        ("training.optimizer.adam.learning_rate", "training.optimizer: exactly one of"),
    ],
)
def test_paths_that_lead_nowhere(job_yaml: Path, path: str, message: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        with_values(open_job_file(job_yaml).spec, {path: 1})
    assert message in str(caught.value)


class Training:
    """Replaces `train`: the loss is the learning rate; may end otherwise."""

    def __init__(self) -> None:
        self.specs: list[dict] = []
        self.ends: dict[int, BaseException] = {}

    def __call__(self, spec, *, directory, progress) -> SimpleNamespace:
        self.specs.append(spec.canonical()["training"])
        if error := self.ends.pop(len(self.specs), None):
            raise error
        (optimizer,) = self.specs[-1]["optimizer"].values()
        network = SimpleNamespace(training={"metrics": {"test": {"loss": optimizer["learning_rate"]}}})
        return SimpleNamespace(model=SimpleNamespace(network=network, save=lambda path: path.write_text("model")))


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Training:
    local = Training()
    monkeypatch.setattr(training, "train", local)
    return local


def sweep(path: Path, *options: object) -> Result:
    folder = path.with_name("trials")
    arguments = ["sweep", path, "--local", "-o", folder, *options]
    return CliRunner(env={"NO_COLOR": "1"}).invoke(program, [str(a) for a in arguments])


def test_an_interrupted_sweep_draws_what_it_would_have_drawn(local: Training, sweep_yaml: Path) -> None:
    whole = sweep(sweep_yaml)
    lines = whole.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["TRIAL", *sorted("123", key=lambda n: rate(local, n)), "model"]
    assert lines[0].split() == ["TRIAL", "test_loss", "learning_rate", "units", "epochs"]
    assert whole.stderr.count("trial ") == 3
    expected, local.specs = local.specs, []
    assert sweep(sweep_yaml).stdout == whole.stdout, "all have ended"
    assert local.specs == []
    sweep_yaml.with_name("trials").rename(sweep_yaml.with_name("whole"))
    local.ends = {2: KeyboardInterrupt()}
    done = sweep(sweep_yaml)
    kept = "interrupted; trials that have ended are kept."
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (
        130,
        f"{kept} Go on: raydient sweep {sweep_yaml} --local -o {sweep_yaml.with_name('trials')}",
    )
    local.ends = {3: JobNotSucceeded("a loss is NaN", state="FAILED", reason="NON_FINITE")}
    printed = json.loads(sweep(sweep_yaml, "--json").stdout)
    assert local.specs == [expected[0], expected[1], expected[1], expected[2]]
    assert [one["value"] is None for one in printed["trials"]] == [False, False, True]
    assert printed["trials"][-1]["message"] == "a loss is NaN"
    assert printed["model"] == str(sweep_yaml.with_name("trials") / "best.safetensors")


def test_without_a_result_there_is_one_document(local: Training, sweep_yaml: Path) -> None:
    local.ends = {number: JobNotSucceeded("a loss is NaN", state="FAILED") for number in (1, 2, 3)}
    done = sweep(sweep_yaml, "--json")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (1, "no trial has a test_loss: a loss is NaN")
    (first, *_) = json.loads(done.stdout)["trials"]
    assert (first["number"], first["value"], first["message"]) == (1, None, "a loss is NaN")
    assert "job" not in first


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["training.epochs", "training.optimizer.sgd.momentum"], ["epochs", "momentum"]),
        (
            ["network.layers[0].dense.units", "network.layers[1].dense.units", "training.batch_size"],
            ["layers[0].dense.units", "layers[1].dense.units", "batch_size"],
        ),
        (["seed", "training.seed", "training.ed"], ["seed", "training.seed", "ed"]),
    ],
)
def test_columns_have_the_shortest_names_that_differ(paths: list[str], names: list[str]) -> None:
    assert short_names(paths) == dict(zip(paths, names, strict=True))


@pytest.mark.parametrize(
    ("values", "expected"),
    [("[portable]", True), ("[strict, any]", False), ("[strict, portable]", None), ("[any, fast]", False)],
)
def test_one_process_has_portable_trials_or_others(sweep_yaml: Path, values: str, expected: bool | None) -> None:
    sweep_yaml.write_text(f"{SWEEP}  training.numerics: {{choice: {values}}}\n")
    read, job = open_sweep(sweep_yaml), open_job_file(sweep_yaml.with_name("points.yaml")).spec
    if expected is not None:
        assert are_portable(read, job) is expected
        return
    done = sweep(sweep_yaml)
    problem = "search.training.numerics: `portable` and others cannot be tried in one process: "
    assert (done.exit_code, done.stderr) == (2, f"{sweep_yaml}:10: {problem}use a service, or a sweep for each\n")


def test_a_folder_below_a_file_is_refused(local: Training, sweep_yaml: Path) -> None:
    done = sweep(sweep_yaml, "-o", sweep_yaml / "trials")
    assert (done.exit_code, done.stderr) == (2, f"{sweep_yaml / 'trials'}: {sweep_yaml} is a file, not a folder\n")


def rate(local: Training, number: str) -> float:
    (optimizer,) = local.specs[int(number) - 1]["optimizer"].values()
    return optimizer["learning_rate"]


def test_a_grid_has_every_combination_and_values_of_any_form(local: Training, sweep_yaml: Path) -> None:
    sweep_yaml.write_text(GRID)
    printed = json.loads(sweep(sweep_yaml, "--json").stdout)
    tried = {
        (one["values"]["training.batch_size"], str(one["values"]["training.optimizer"])) for one in printed["trials"]
    }
    assert len(tried) == len(printed["trials"]) == 4
    assert [spec["batch_size"] for spec in local.specs] == [1, 1, 2, 2]
    assert local.specs[1]["optimizer"]["adam"]["learning_rate"] == 0.5


def test_a_trial_that_had_ended_before_it_was_told_is_not_lost(sweep_yaml: Path, tmp_path: Path) -> None:
    read, job = open_sweep(sweep_yaml), open_job_file(sweep_yaml.with_name("points.yaml")).spec.canonical()
    with open_trials(read, job, tmp_path / "t") as trials:
        first, _ = trials.ask()
        trials.ask()
        first.set_user_attr("metrics", {"test_loss": 0.5})
        trials._end(first, "", "")
        with pytest.raises(NotAllowed, match="in use"), open_trials(read, job, tmp_path / "t"):
            pass
    with open_trials(read, job, tmp_path / "t") as trials:
        assert [(one.number, one.value) for one in trials.results()] == [(1, 0.5)]
        assert len(list(iter(trials.ask, None))) == 2
    with (
        pytest.raises(NotAllowed, match="another sweep"),
        open_trials(read, {**job, "labels": {}, "x": 1}, tmp_path / "t"),
    ):
        pass


def test_values_are_checked_with_the_data_before_anything_starts(local: Training, sweep_yaml: Path) -> None:
    sweep_yaml.write_text(GRID.replace("[1, 2]", "[1, 1000]"))
    done = sweep(sweep_yaml)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{sweep_yaml}:4: search.training.batch_size: with training.batch_size=1000" in done.stderr
    assert "1000 is more than the 32 rows" in done.stderr
    sweep_yaml.with_name("points.csv").write_text("a,b,y\n1,2,3\n2,1,x\n")
    assert "points.yaml:2: dataset.label" in sweep(sweep_yaml).stderr, "the job without the values of the sweep"
    sweep_yaml.with_name("points.csv").write_text("a,b,y\n" + "1,2,3\n" * 40)
    sweep_yaml.write_text(f"metric: auc\n{GRID}")
    assert f'{sweep_yaml}:1: metric: "test_auc" is no metric of this job, there are: loss' in sweep(sweep_yaml).stderr
    assert local.specs == []
    assert not sweep_yaml.with_name("trials").exists()


def test_jobs_of_a_service_are_found_again(run, service, sweep_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_yaml.write_text(SWEEP.replace("seed: 5", "seed: 5\nparallel: 2"))

    def train(job) -> None:
        """End a job at once, with its learning rate as the loss."""
        loss = job.spec.training.optimizer.sgd.learning_rate
        job.last_epoch.CopyFrom(EpochEnded(epoch=1, metrics=[Metric(name="loss", split="test", value=loss)]))
        service.add_events(job.name)

    service.train = train
    tell, calls = Trials.tell, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return tell(*arguments)

    monkeypatch.setattr(Trials, "tell", interrupted)
    folder = sweep_yaml.with_name("served")
    done = run("sweep", sweep_yaml, "-o", folder)
    assert (done.exit_code, "the jobs in flight go on" in done.stderr) == (130, True)
    printed = json.loads(run("sweep", sweep_yaml, "-o", folder, "--json").stdout)
    assert sorted(one["job"] for one in printed["trials"]) == sorted(service.jobs)
    values = [one["value"] for one in printed["trials"]]
    assert values == sorted(values)
    assert len(values) == 3
    assert all(job.spec.labels["sweep"].startswith("sweep-") for job in service.jobs.values())


def test_the_extra_is_named(sweep_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    done = sweep(sweep_yaml)
    assert (done.exit_code, "pip install 'raydient[sweep]'" in done.stderr) == (1, True)
