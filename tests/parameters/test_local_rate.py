"""The learning rate of local steps: that of the rule for the round's update, with its factor."""

import pytest

from raydient.server.parameters.rule import build_rule
from raydient.spec.training import Training
from raydient.steps.schedule import Schedule

SCHEDULE = Schedule(train_rows=20, test_rows=5, epochs=2, batch_size=5, microbatches=2)


def rule(consistency):
    made = build_rule(Training.model_validate({"schedule": "cosine", "consistency": consistency}), SCHEDULE)
    made.learning_rate.factor = 0.5
    return made


def test_the_rate_of_a_round_is_that_of_its_update():
    made = rule({"local": {"steps": 2}})
    assert made.local_rate(SCHEDULE.round(6)) == made.learning_rate(5) == 0.5 * made.learning_rate.schedule(5) > 0


@pytest.mark.parametrize(
    ("number", "consistency"), [(4, {"local": {"steps": 2}}), (3, {"local": {"steps": 1}}), (3, "synchronous")]
)
def test_evaluations_and_other_models_of_consistency_have_none(number, consistency):
    assert rule(consistency).local_rate(SCHEDULE.round(number)) is None
