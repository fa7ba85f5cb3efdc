"""A worker keeps the residuals of its leaves, begins at those of a checkpoint, and sends them for a snapshot."""

import numpy as np
import pytest

from raydient.steps.residuals import residual_name
from raydient.wire.channel import Assignment, ResidualsDue
from raydient.workers.residuals import Residuals
from tests.steps.codec_twins import top_k

from .test_gradient_parts import LEAVES, Recording, work

CODEC = "top_k 0.01"


@pytest.fixture
def sent():
    return {}


def run(monkeypatch, events, residuals):
    """Have a worker with these residuals do what its channel says; return the channel."""
    monkeypatch.setattr(Recording, "wait", lambda channel: next(events, None))
    monkeypatch.setattr("raydient.workers.worker.Residuals", lambda: residuals)
    return work([], 1, CODEC)


def test_residuals_begin_at_the_checkpoint_which_stays_as_it_is(sent):
    start = {residual_name(2): np.arange(3, dtype=np.float32)}
    residuals = Residuals(start, sent.__setitem__)
    residuals.of(2, 3)[0] = 7
    residuals.of(0, 3)[1] = 5
    residuals.send(9)
    assert {name: values.tolist() for name, values in sent[9].items()} == {
        "residual_2": [7, 1, 2],
        "residual_0": [0, 5, 0],
    }
    assert start["residual_2"].tolist() == [0, 1, 2]


def test_a_worker_keeps_what_it_does_not_send(monkeypatch, sent):
    plain = work([(n, n + 1) for n in range(LEAVES)], 1).pushed
    residuals = Residuals({}, lambda round_, arrays: sent.update({round_: {n: a.copy() for n, a in arrays.items()}}))
    events = iter([Assignment(0, 0, 2), ResidualsDue(1), Assignment(1, 0, 2), ResidualsDue(2)])
    channel = run(monkeypatch, events, residuals)
    assert sent[1].keys() == sent[2].keys() == {"residual_0", "residual_1"}
    for leaf in (0, 1):
        gradient = plain[leaf, leaf + 1][0]
        expected = np.where(top_k(gradient, None) != 0, np.float32(0), gradient)
        assert sent[1][residual_name(leaf)].tobytes() == expected.tobytes()
        assert sent[2][residual_name(leaf)].tobytes() != expected.tobytes()
    assert list(channel.pushed) == [(0, 2)]


def test_without_feedback_a_worker_keeps_nothing(monkeypatch, sent):
    residuals = Residuals({}, sent.__setitem__)
    monkeypatch.setattr("raydient.workers.worker.Residuals", lambda: residuals)
    work([(0, 7)], 1, "int8")
    residuals.send(1)
    assert sent == {1: {}}
