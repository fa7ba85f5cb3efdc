"""Changes of a job while it trains, of its consistency above all, on which batches and tables of some jobs depend."""

import pytest

from raydient.spec.amending import amended
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job

EMBEDDING = {"embedding": {"input_dim": 9, "output_dim": 2}}


def make(consistency="synchronous", layers=(), codec="none", **training):
    return validate_job(
        {
            "dataset": {"uri": "data.csv"},
            "network": {"layers": [*layers, {"dense": {"units": 3}}], "loss": "softmax_cross_entropy"},
            "training": {"consistency": consistency, **training},
            "exchange": {"codec": codec},
        }
    )


@pytest.mark.parametrize(
    ("before", "settings", "after"),
    [
        ("synchronous", {"training.consistency": {"asynchronous": {}}}, {"asynchronous": {"damping": False}}),
        ("asynchronous", {"training.consistency": {"synchronous": {}}}, {"synchronous": {}}),
        (
            "synchronous",
            {"training.consistency.bounded_staleness.limit": 2},
            {"bounded_staleness": {"limit": 2, "damping": False}},
        ),
        (
            {"bounded_staleness": {"limit": 8, "damping": True}},
            {"training.consistency.bounded_staleness.limit": 1},
            {"bounded_staleness": {"limit": 1, "damping": True}},
        ),
    ],
    ids=str,
)
def test_another_consistency(before, settings, after):
    assert amended(make(before), settings).training.consistency.canonical() == after


@pytest.mark.parametrize(
    ("job", "settings", "message"),
    [
        ({}, {"training.consistency": {"local": {"steps": 4}}}, "only a new job can have local steps"),
        (
            {"consistency": {"local": {"steps": 4}}},
            {"training.consistency": {"synchronous": {}}},
            "a job with local steps keeps them",
        ),
        (
            {"layers": [EMBEDDING, "flatten"]},
            {"training.consistency": {"asynchronous": {}}},
            "a job with an embedding keeps its consistency",
        ),
        (
            {"codec": "top_k"},
            {"training.consistency": {"asynchronous": {}}},
            "a job with exchange.codec top_k remains synchronous",
        ),
        ({}, {"training.consistency": {"eventual": {}}}, "eventual"),
        ({}, {"training.consistency.bounded_staleness.limit": 0}, "it must be at least 1"),
        ({}, {"training.consistency": None}, "a value is needed"),
        (
            {"on_non_finite": "rollback"},
            {"training.consistency": {"asynchronous": {}}},
            "cannot be combined with on_non_finite: rollback",
        ),
    ],
    ids=str,
)
def test_a_change_that_is_refused(job, settings, message):
    with pytest.raises(InvalidSpec, match=message) as refused:
        amended(make(**job), settings)
    (error,) = refused.value.errors
    assert error.path.startswith("training.consistency")


def test_a_field_that_exists_is_not_taken_for_a_typing_error():
    with pytest.raises(InvalidSpec) as refused:
        amended(make(optimizer="adam"), {"training.optimizer.adam.beta_1": 0.5})
    (error,) = refused.value.errors
    assert error.message.startswith("cannot be changed once the job exists; those that can: training.optimizer.adam.")
