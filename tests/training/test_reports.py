"""Reports survive the wire."""

import typing

import pytest

from raydient.server.training import reports
from raydient.steps.health import GradientHealth, LayerHealth

HEALTH = GradientHealth(1, (LayerHealth("dense_1", 0.5, 0.001, 0, 0.25), LayerHealth("relu", dead_units_ratio=0.0)))
EXAMPLES = [
    reports.Started(3, 2),
    reports.Progress(1, 2, 0, 1, 32, 10.5, 0.1, 0.25, 2, 2, {"worker": 1}, {"wait": 0.5}, (1, 2), 0.5, {"push": 7}),
    reports.Progress(1, 2, 0, 1, 32, 10.5, 0.1, 0.25, 2, 2, gradient_health=HEALTH),
    reports.EpochEnded(1, 3, 0.5, {"train": {"loss": 0.1}}),
    reports.CheckpointTaken(3, 0.5, 100),
    reports.Notice("WORKER_LOST", "worker 1: killed"),
    reports.Waiting("1 of at least 2 workers are there"),
    reports.Finished(reports.Outcome.FAILED, 3, "", "NON_FINITE", "loss nan"),
]


def test_there_is_an_example_of_each():
    assert {type(example) for example in EXAMPLES} == set(typing.get_args(reports.Report))


@pytest.mark.parametrize("report", EXAMPLES, ids=lambda report: type(report).__name__)
def test_round_trip(report):
    assert reports.from_json(reports.to_json(report)) == report


@pytest.mark.parametrize("data", [{}, {"type": "Unheard"}, {"type": "Started", "step": "three", "workers": 1}])
def test_what_is_no_report_is_refused(data):
    with pytest.raises(ValueError, match=r"type|step"):
        reports.from_json(data)
