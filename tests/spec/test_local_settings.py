"""Settings that cannot be combined with local steps, each with one line that has the field's path and the mend."""

import pytest

from raydient.spec.consistency import Consistency
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job

JOB = {
    "dataset": {"uri": "a.csv"},
    "network": {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"},
}


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"optimizer": "adam"}, "training.consistency: local steps are those of plain SGD, so adam cannot"),
        ({"accumulate": 2}, "training.consistency: local cannot be combined with accumulate"),
        ({"weight_decay": {"rate": 0.1}}, "training.consistency: local steps do not decay weights: use the l2"),
        (
            {"consistency": {"local": {"steps": 0}}},
            "training.consistency.local.steps: 0 is too small: it must be at least 1",
        ),
        ({"consistency": {"local": {"step": 2}}}, "training.consistency.local.step: unknown key; did you mean steps?"),
    ],
)
def test_a_setting_that_is_refused(training, message):
    with pytest.raises(InvalidSpec) as refused:
        validate_job({**JOB, "training": {"consistency": "local", **training}})
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_only_local_has_several_batches_in_a_step():
    kinds = {"synchronous": 1, "bounded_staleness": 1, "asynchronous": 1, "local": 4}
    assert {kind: Consistency.model_validate(kind).local_steps for kind in kinds} == kinds
    assert Consistency.model_validate({"local": {"steps": 9}}).local_steps == 9
