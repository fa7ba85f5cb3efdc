"""Early stopping and the best epoch are functions of the epochs' metrics: compared with a naive loop and with Keras."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters.epoch_watch import EARLY_STOPPING, KEEP, EpochWatch
from raydient.server.parameters.monitor import Monitor
from raydient.server.parameters.rule import ONE_STEP
from raydient.spec.training import Training
from raydient.steps.watched import Watched

KERAS = json.loads((Path(__file__).parent / "figures" / "early_stopping.json").read_text())["cases"]
VALUES = st.lists(st.one_of(st.floats(0, 4).map(lambda value: round(value, 1)), st.just(math.nan)), max_size=12)


def watching(*, larger=False, patience=1, min_delta=0.0):
    """Return a watch of the loss of the held-out part, whose sums are the rows and the sum of the loss."""
    monitors = {
        EARLY_STOPPING: Monitor("test_loss", larger=larger, min_delta=min_delta),
        KEEP: Monitor("test_loss", larger=larger),
    }
    return EpochWatch(lambda sums: {"loss": sums[1] / sums[0]}, monitors, patience)


def run(watch, values, watched=None, epoch=0):
    """Train on these values of the loss until the watch stops; yield the state after each epoch."""
    watched = watched or {}
    for value in values:
        epoch += 1
        watched = watch.after(watched, epoch, (8.0, 99.0), (2.0, 2 * value))
        yield epoch, watched
        if watch.stops(watched, epoch):
            return


def naive(values, larger, patience, min_delta):
    """Return the number of epochs and the best one, from 1, by looking back over all values."""
    sign = -1 if larger else 1
    best, best_epoch, last = math.inf, 0, 0
    for epoch, value in enumerate(values, 1):
        if value == value and (best == math.inf or sign * value + min_delta < best):
            best, last = sign * value, epoch
        numbers = [sign * v for v in values[:epoch] if v == v]
        best_epoch = [sign * v for v in values].index(min(numbers)) + 1 if numbers else 0
        if epoch > 1 and epoch - last >= patience:
            return epoch, best_epoch
    return len(values), best_epoch


@given(VALUES, st.booleans(), st.integers(1, 4), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_end_and_the_best_epoch_are_those_of_a_naive_loop(values, larger, patience, min_delta):
    watch = watching(larger=larger, patience=patience, min_delta=min_delta)
    states = list(run(watch, values))
    epochs, best = naive(values, larger, patience, min_delta)
    assert len(states) == epochs
    kept = [epoch for epoch, watched in states if watch.keeps(watched, epoch)]
    assert (kept[-1] if kept else 0) == best


@given(VALUES.filter(bool), st.data())
def test_training_that_goes_on_from_a_stored_state_decides_as_before(values, data):
    watch = watching(patience=2)
    states = list(run(watch, values))
    epoch, watched = data.draw(st.sampled_from(states))
    if not watch.stops(watched, epoch):
        rest = list(
            run(watch, values[epoch:], {name: Watched(w.best, w.epoch, w.wait) for name, w in watched.items()}, epoch)
        )
        assert rest == states[epoch:]


@pytest.mark.parametrize("case", KERAS, ids=lambda case: f"{case['mode']}-{case['patience']}-{case['min_delta']}")
def test_keras_decides_alike(case):
    watch = watching(larger=case["mode"] == "max", patience=case["patience"], min_delta=case["min_delta"])
    *_, (epochs, watched) = run(watch, case["values"])
    state = watched[EARLY_STOPPING]
    assert {"epochs": epochs, "best_epoch": state.epoch, "best": state.best} == case["keras"]


def test_a_job_that_watches_nothing_computes_no_metric():
    watch = EpochWatch.of(Training(), {}, {}, ONE_STEP)
    assert watch.after({}, 1, (8.0, 1.0), (2.0, 1.0)) == {}
    assert not watch.keeps({}, 1)
    assert not watch.stops({}, 100)


NETWORK = {
    "layers": [{"dense": {"units": 3}}],
    "loss": "softmax_cross_entropy",
    "metrics": [{"top_k": {"k": 2}}],
}


@pytest.mark.parametrize(
    ("settings", "metric", "larger"),
    [
        ({}, "test_loss", False),
        ({"monitor": "accuracy"}, "test_accuracy", True),
        ({"monitor": "test_top_2"}, "test_top_2", True),
        ({"monitor": "train_loss"}, "train_loss", False),
        ({"monitor": "loss", "mode": "max"}, "test_loss", True),
        ({"monitor": "accuracy", "mode": "min"}, "test_accuracy", False),
    ],
)
def test_the_direction_is_that_of_the_metric_unless_it_is_given(settings, metric, larger):
    training = Training.model_validate({"early_stopping": {**settings, "patience": 3}, "keep": {"best": settings}})
    watch = EpochWatch.of(training, NETWORK, {"input": [4]}, ONE_STEP)
    for monitor in watch.monitors.values():
        assert (monitor.metric, monitor.larger) == (metric, larger)
    assert watch.patience == 3


def test_metrics_are_those_of_the_results():
    training = Training.model_validate({"keep": {"best": {"monitor": "accuracy"}}})
    watch = EpochWatch.of(training, NETWORK, {"input": [4]}, ONE_STEP)
    watched = watch.after({}, 1, (8.0, 1.0, 8.0, 8.0, 8.0), (4.0, 2.0, 3.0, 4.0, 4.0))
    assert watched == {KEEP: Watched(0.75, 1)}
