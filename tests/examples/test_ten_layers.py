"""Ten layers of the logistic function and their twin of ReLU: what vanishes in one and not in the other."""

from itertools import pairwise
from pathlib import Path

import pytest

from examples.gradient_norms import measure, picture

EXAMPLES = Path(__file__).parents[2] / "examples"
LOGISTIC, TWIN = EXAMPLES / "sick" / "vanishing_gradient.yaml", EXAMPLES / "ten_layers_relu.yaml"


@pytest.fixture(scope="module")
def norms():
    return {path: measure(path) for path in (LOGISTIC, TWIN)}


def job(path):
    """A job file without its comment and its name."""
    return path.read_text(encoding="utf-8").partition("dataset:")[2]


def test_the_twin_has_another_activation_and_nothing_else():
    assert job(TWIN) == job(LOGISTIC).replace("sigmoid", "relu").replace("../digits.csv", "digits.csv")


def test_norms_fall_from_layer_to_layer_and_nothing_is_learnt(norms):
    *_, last = curves = list(norms[LOGISTIC].layers.values())
    assert len(curves) == 10
    assert len(last) == 30
    for epoch in zip(*curves[1:], strict=True):  # the first layer is given the data, of another size
        assert all(2 < later / earlier < 8 for earlier, later in pairwise(epoch))
    assert norms[LOGISTIC].measured["accuracy"] < 0.2


def test_the_twin_learns_with_all_its_layers(norms):
    curves = list(norms[TWIN].layers.values())
    assert len(curves) == 10
    assert all(max(epoch) < 20 * min(epoch) for epoch in zip(*curves, strict=True))
    assert norms[TWIN].measured["accuracy"] > 0.95


def test_the_picture_has_a_line_a_layer(norms):
    figure = picture(list(norms.values()))
    left, right = figure.axes
    assert [len(axes.get_lines()) for axes in (left, right)] == [10, 10]
    assert left.get_ylim() == right.get_ylim()
