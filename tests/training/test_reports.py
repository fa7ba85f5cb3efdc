"""Round trips of reports through JSON."""

import typing
from dataclasses import fields

import pytest

from raydient.server.training import reports
from raydient.steps.amendments import Amendment
from raydient.steps.measurements import GradientHealth, LayerHealth, Measurements, Staleness
from raydient.wire.control import Order

HEALTH = GradientHealth(1, (LayerHealth("dense_1", 0.5, 0.001, 0, 0.25), LayerHealth("relu", dead_units_ratio=0.0)))
EXAMPLES = [
    reports.Started(3, 2),
    reports.Progress(
        *(1, 2, 0, 1, 32, 10.5, 2, 2), Measurements(0.25, 0.1, {"wait": 0.5}, (1, 2), 0.5, {"push": 7}), {"worker": 1}
    ),
    reports.Progress(1, 2, 0, 1, 32, 10.5, 2, 2, Measurements(0.25, 0.1, gradient_health=HEALTH)),
    reports.Progress(1, 2, 0, 1, 32, 10.5, 2, 2, Measurements(0.25, 0.1, staleness=Staleness((2, 3), 1))),
    reports.EpochEnded(1, 3, 0.5, {"train": {"loss": 0.1}}),
    reports.CheckpointTaken(3, 0.5, 100),
    reports.Notice("WORKER_LOST", "worker 1: killed"),
    reports.Amended(Amendment(2, {"training.max_steps": 500, "training.clipping": None}, 8, 6)),
    reports.WentBack(),
    reports.WentBack(reports.EpochEnded(1, 3, 0.5, {"train": {"loss": 0.1}})),
    reports.Waiting("1 of at least 2 workers are there"),
    reports.Finished(reports.Outcome.FAILED, 3, "", "NON_FINITE", "loss nan"),
]


def test_every_report_has_an_example():
    assert {type(example) for example in EXAMPLES} == set(typing.get_args(reports.Report))


@pytest.mark.parametrize("report", EXAMPLES, ids=lambda report: type(report).__name__)
def test_round_trip(report):
    assert reports.from_json(reports.to_json(report)) == report


def test_a_progress_is_one_mapping_in_json():
    """Coordinators of earlier versions send this form, and earlier services stored it."""
    flat = {
        "type": "Progress", "step": 1, "steps": 2, "epoch": 0, "epochs": 1, "samples": 32, "samples_per_second": 10.5,
        "learning_rate": 0.1, "loss": 0.25, "workers_alive": 2, "workers_wanted": 2, "restarts": {"worker": 1},
        "phase_seconds": {"wait": 0.5}, "step_seconds_buckets": (1, 2), "step_seconds_sum": 0.5,
        "exchange_bytes": {"push": 7}, "workers_minimum": 1, "gradient_health": None, "refused": {},
        "clip_factor": None, "clipped_steps": 0, "skipped_steps": 0, "rollbacks": 0, "saved_bytes": 0,
        "staleness": None,
    }  # fmt: skip
    assert reports.to_json(EXAMPLES[1]) == flat
    assert reports.from_json(flat) == EXAMPLES[1]


def test_no_field_of_a_progress_hides_a_measurement():
    names = [f.name for kind in (reports.Progress, Measurements) for f in fields(kind)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("data", [{}, {"type": "Unheard"}, {"type": "Started", "step": "three", "workers": 1}])
def test_data_that_is_no_report_is_refused(data):
    with pytest.raises(ValueError, match=r"type|step"):
        reports.from_json(data)


def test_a_service_and_coordinators_of_earlier_builds_understand_each_other():
    """An upgrade of the service leaves coordinators on a joined Ray running."""
    assert {order.name: order.value for order in Order} == {"CANCEL": "cancel", "PAUSE": "interrupt"}
    assert reports.Outcome.PAUSED.value == "interrupted"
