"""A valid job that is probably a mistake is reported once, by a warning among its events."""

from raydient.server.training.reports import Notice

from .conftest import execute

TWICE = {"layers": [{"dense": {"units": 3, "activation": "softmax"}}], "loss": "softmax_cross_entropy"}


def test_a_softmax_before_a_loss_that_applies_it_is_reported_once(job, local, tmp_path):
    reports = []
    execute(job(1, network=TWICE, epochs=1), local, tmp_path, reports.append)
    (warning,) = [r for r in reports if isinstance(r, Notice) and r.reason == "WARNING"]
    assert warning.message.startswith("network.layers[0].dense.activation: softmax before softmax_cross_entropy: ")


def test_other_networks_are_not_reported(job, local, tmp_path):
    reports = []
    execute(job(1, epochs=1), local, tmp_path, reports.append)
    assert not [r for r in reports if isinstance(r, Notice) and r.reason == "WARNING"]
