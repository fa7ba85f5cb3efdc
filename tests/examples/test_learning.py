"""The examples learn what their page says, in less than a minute: each is trained whole, with the seed that it has."""

import re
from pathlib import Path

import pytest

from examples.make_data import main as make_data
from raydient.server.embedded import train
from raydient.server.training.reports import EpochEnded, Outcome
from raydient.spec.reading import read_job_file

EXAMPLES = Path(__file__).parents[2] / "examples"
LEAST = {
    "digits": {"accuracy": 0.96},
    "digits_convolution": {"accuracy": 0.98},
    "sequences_lstm": {"accuracy": 0.98},
    "ten_layers_relu": {"accuracy": 0.90},
}
"""By example: what it has to reach on the held-out part, a little below what it does reach."""


@pytest.mark.parametrize("name", LEAST)
def test_it_learns(name, tmp_path):
    path, metrics = EXAMPLES / f"{name}.yaml", {}

    def hear(report):
        if isinstance(report, EpochEnded):
            metrics.update(report.metrics["test"])

    spec = read_job_file(path)
    finished = train(spec, path.parent / spec.dataset.uri, directory=tmp_path / "job", report=hear)
    assert finished.outcome is Outcome.SUCCEEDED
    for metric, least in LEAST[name].items():
        assert metrics[metric] >= least


def test_every_example_is_told_of_and_learns():
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| \[`(\w+)\.yaml`\]", page, re.MULTILINE)
    assert sorted(told) == sorted(LEAST) == sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def test_the_made_data_are_what_the_generator_makes(tmp_path):
    make_data(tmp_path)
    made = sorted(tmp_path.iterdir())
    assert [path.name for path in made] == ["flats.csv", "sequences.csv"]
    for path in made:
        assert path.read_bytes() == (EXAMPLES / path.name).read_bytes()
