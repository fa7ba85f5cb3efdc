"""A schedule of the learning rate that does not fit the job is refused, with the path of the field."""

import pytest

from raydient.server.training.rate_problems import rate_problems
from raydient.spec.training import Training
from raydient.steps.schedule import Schedule

ROUNDS = Schedule(100, 25, 8, 10, 2)
"""8 epochs of 10 steps."""


def problems(schedule="constant", warm_up=None, optimizer="sgd"):
    data = {"schedule": schedule, "optimizer": optimizer, **({"warm_up": warm_up} if warm_up else {})}
    return [(error.path.removeprefix("training."), error.message) for error in rate_problems(Training(**data), ROUNDS)]


@pytest.mark.parametrize(
    ("schedule", "warm_up"),
    [
        ("constant", None),
        ("constant", {"steps": 79}),
        ({"step": {"boundaries": [10, 78], "values": [0.1, 0.01]}}, None),
        ({"step": {"boundary_epochs": [2, 7.5], "values": [0.1, 0.01]}}, None),
        ({"exponential": {"decay_steps": 1000, "decay_rate": 0.5}}, None),
        ({"exponential": {"decay_steps": 79, "decay_rate": 0.5, "staircase": True}}, None),
        ({"inverse_time": {"decay_epochs": 1, "decay_rate": 0.5}}, None),
        ("polynomial", {"epochs": 1}),
        ({"polynomial": {"decay_epochs": 8}}, None),
        ({"polynomial": {"decay_epochs": 7}}, {"epochs": 1}),
        ({"polynomial": {"decay_epochs": 5}}, None),  # then 0.0001
        ({"polynomial": {"decay_steps": 5, "end_learning_rate": 0, "cycle": True}}, None),
        ("cosine", None),
        ({"cosine": {"decay_steps": 10, "alpha": 0.1}}, None),
        ({"cosine": {"decay_steps": 10, "restarts": {}}}, None),
        ("one_cycle", {"steps": 5}),
        ("plateau", None),
    ],
)
def test_a_schedule_fits_the_job(schedule, warm_up):
    assert problems(schedule, warm_up) == []


@pytest.mark.parametrize(
    ("schedule", "warm_up", "path", "words"),
    [
        ("cosine", {"steps": 80}, "warm_up.steps", ["80 steps", "not fewer than the 80 of the job"]),
        ("constant", {"epochs": 9}, "warm_up.epochs", ["90 steps", "80"]),
        ({"step": {"boundaries": [10, 79], "values": [0.1, 0.01]}}, None, "schedule.step.boundaries[1]",
         ["no step follows step 79", "the 80 of the job, 8 epochs of 10"]),
        ({"step": {"boundary_epochs": [8], "values": [0.1]}}, None, "schedule.step.boundary_epochs[0]", ["step 79"]),
        ({"step": {"boundary_epochs": [1, 1.01], "values": [0.1, 0.2]}}, None, "schedule.step.boundary_epochs[1]",
         ["the same step"]),
        ({"exponential": {"decay_steps": 80, "decay_rate": 0.5, "staircase": True}}, None,
         "schedule.exponential.decay_steps", ["80 steps", "would not change"]),
        ({"exponential": {"decay_steps": 1, "decay_rate": 0.1}}, None, "schedule.exponential.decay_rate", ["1e-81"]),
        ({"exponential": {"decay_steps": 1, "decay_rate": 10}}, None, "schedule.exponential.decay_rate", ["1e+77"]),
        ({"polynomial": {"decay_steps": 81}}, None, "schedule.polynomial.decay_steps", ["81 steps", "than the 80"]),
        ({"polynomial": {"decay_epochs": 8}}, {"epochs": 1}, "schedule.polynomial.decay_epochs",
         ["80 steps are more than the 70 that follow the warm-up of 10"]),
        ({"polynomial": {"decay_steps": 70, "end_learning_rate": 0}}, None, "schedule.polynomial.decay_steps",
         ["70 steps", "0 in the rest"]),
        ({"cosine": {"decay_epochs": 7}}, None, "schedule.cosine.decay_epochs", ["70 steps", "0 in the rest"]),
        ({"cosine": {"decay_epochs": 9, "restarts": {}}}, None, "schedule.cosine.decay_epochs", ["90 steps"]),
        ({"plateau": {"min_lr": 0.01}}, None, "schedule.plateau.min_lr", ["0.01 is not below", "learning_rate, 0.01"]),
    ],
)  # fmt: skip
def test_a_schedule_that_does_not_fit_is_refused(schedule, warm_up, path, words):
    [(where, message)] = problems(schedule, warm_up)
    assert where == path
    for word in words:
        assert word in message
