"""Settings of optimizers that are refused, each with one line that has the field's path."""

import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job

JOB = {
    "dataset": {"uri": "a.csv"},
    "network": {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"},
}


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"optimizer": "adamm"}, 'training.optimizer: there is no "adamm"; did you mean adam?'),
        (
            {"optimizer": {"lamb": {"betta_1": 0.9}}},
            "training.optimizer.lamb.betta_1: unknown key; did you mean beta_1?",
        ),
        ({"optimizer": {"adam": {"beta_1": 1.0}}}, "adam.beta_1: 1.0 is too large: it must be below 1"),
        (
            {"optimizer": {"adamw": {"weight_decay": -0.1}}},
            "adamw.weight_decay: -0.1 is too small: it must be at least 0",
        ),
        ({"optimizer": {"lars": {"momentum": 1.0}}}, "lars.momentum: 1.0 is too large: it must be below 1"),
        (
            {"optimizer": {"rmsprop": {"learning_rate": -1}}},
            "rmsprop.learning_rate: -1 is too small: it must be above 0",
        ),
        ({"optimizer": {"rmsprop": {"centered": "yes"}}}, 'rmsprop.centered: "yes" is not true or false'),
        ({"optimizer": {"adagrad": {"epsilon": 0}}}, "adagrad.epsilon: 0 is too small: it must be at least 1e-30"),
        ({"optimizer": {"sgd": {"nesterov": True}}}, "training.optimizer.sgd.nesterov: needs momentum above 0"),
        ({"optimizer": {"ftrl": {"learning_rate_power": -1}}}, "ftrl.learning_rate_power: unknown key"),
        (
            {"optimizer": {"ftrl": {"initial_accumulator_value": 0.0}}},
            "training.optimizer.ftrl: initial_accumulator_value 0 needs beta or l2_regularization_strength above 0",
        ),
        ({"sparse": "lasy"}, 'training.sparse: there is no "lasy"; did you mean lazy?'),
        ({"optimizer": "lamb", "sparse": "lazy"}, "training.sparse: lazy cannot be combined with lamb"),
    ],
)
def test_a_setting_that_is_refused(training, message):
    with pytest.raises(InvalidSpec) as refused:
        validate_job({**JOB, "training": training})
    text = str(refused.value)
    assert message in text
    assert text.startswith("training.")
    assert "\n" not in text


@pytest.mark.parametrize("settings", [{"beta": 1.0}, {"l2_regularization_strength": 0.1}])
def test_ftrl_may_begin_at_zero_as_in_the_paper(settings):
    spec = validate_job({**JOB, "training": {"optimizer": {"ftrl": {"initial_accumulator_value": 0.0, **settings}}}})
    assert spec.training.optimizer.value.initial_accumulator_value == 0
