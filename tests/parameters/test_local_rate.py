"""The learning rate of local steps: that of the rule for the step that is open, with its factor."""

import numpy as np
import pytest

from raydient.server.parameters.conductor import Conductor
from raydient.server.parameters.health import LayerSums
from raydient.server.parameters.position import Position
from raydient.server.parameters.rule import build_rule
from raydient.spec.training import Training
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule

SCHEDULE = Schedule(train_rows=20, test_rows=5, epochs=2, batch_size=5, microbatches=2)


def conductor(round_, step, consistency):
    training = Training.model_validate({"schedule": "cosine", "consistency": consistency})
    rule = build_rule(training, SCHEDULE)
    rule.learning_rate.factor = 0.5
    position = Position(round=round_, step=step, epoch_sums=np.zeros(3))
    made = Conductor(SCHEDULE, position, rule, LayerSums(Layout.of([("a", (2,))]), [("a", 0)]))
    made.attached(0)
    return made, rule


def test_the_rate_of_a_step_is_that_of_its_update():
    made, rule = conductor(3, 3, {"local": {"steps": 2}})
    assert made.local_rate is None
    made.plan(1, [0], [1.0])
    assert made.local_rate == rule.learning_rate(3) == 0.5 * rule.learning_rate.schedule(3)


@pytest.mark.parametrize(
    ("round_", "consistency"), [(4, {"local": {"steps": 2}}), (3, {"local": {"steps": 1}}), (3, "synchronous")]
)
def test_evaluations_and_other_models_of_consistency_have_none(round_, consistency):
    made, _ = conductor(round_, min(round_, 4), consistency)
    made.plan(1, [0], [1.0])
    assert made.current is not None
    assert made.local_rate is None
