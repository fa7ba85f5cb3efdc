"""Rules between data and network; each error has the path of its field."""

import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job

OUTPUT = {"layer": "dense_1", "label": "kind", "loss": "mean_squared_error"}


def job(dataset, network):
    layers = [{"dense": {"units": 1}}]
    return {"dataset": {"uri": "a.csv", **dataset}, "network": {"layers": layers, **network}}


def test_both_forms_are_read():
    plain = validate_job(job({}, {"loss": "mean_squared_error"}))
    assert [(o.layer, o.label, o.weight) for o in plain.network.named_outputs] == [("dense_1", "label", 1.0)]
    assert (plain.dataset.input_names, dict(plain.dataset.named_labels)) == (("input",), {"label": "y"})
    named = validate_job(
        job({"inputs": {"a": "x", "b": ["c", "d"]}, "labels": {"kind": "k"}}, {"outputs": [OUTPUT | {"weight": 2.0}]})
    )
    assert {name: (input_.columns, input_.categories) for name, input_ in named.dataset.inputs.items()} == {
        "a": (("x",), False),
        "b": (("c", "d"), False),
    }
    assert validate_job(named.canonical()) == named


def test_one_output_may_be_compared_with_the_only_label():
    valid = validate_job(job({"label": "digit"}, {"outputs": [OUTPUT | {"label": "label"}]}))
    assert valid.dataset.named_labels[valid.network.named_outputs[0].label] == "digit"


@pytest.mark.parametrize(
    ("dataset", "network", "path", "message"),
    [
        ({}, {}, "network.loss", "is missing"),
        ({}, {"loss": "mean_squared_error", "outputs": [OUTPUT]}, "network.outputs", "instead of `loss`"),
        ({"labels": {"kind": "k"}}, {"loss": "mean_squared_error"}, "dataset.labels", "needs `network.outputs`"),
        ({"labels": {"kind": "k", "b": "c"}}, {"outputs": [OUTPUT]}, "dataset.labels.b", "no output predicts it"),
        ({"labels": {"sort": "k"}}, {"outputs": [OUTPUT]}, "network.outputs[0].label", '"kind" is no label'),
        (
            {"labels": {"kind": "k"}},
            {"outputs": [{"layer": "dense_1", "label": "kind"}]},
            "network.outputs[0].loss",
            "is missing",
        ),
        ({"labels": {"kind": "k"}}, {"outputs": [OUTPUT, OUTPUT]}, "network.outputs", "dense_1 is an output 2 times"),
        (
            {"labels": {"kind": "k"}},
            {"outputs": [OUTPUT], "metrics": ["r2"]},
            "network.metrics",
            "beside `outputs` give them in each of those, `network.outputs[0].metrics`",
        ),
        (
            {"labels": {"kind": "k"}},
            {"outputs": [OUTPUT | {"metrics": ["r2", "r2"]}]},
            "network.outputs[0].metrics",
            "r2 is there twice",
        ),
        (
            {"labels": {"kind": "k"}},
            {"outputs": [OUTPUT | {"weight": 0}]},
            "network.outputs[0].weight",
            "0 is too small: it must be above 0",
        ),
        ({"inputs": {"a": "x"}, "features": ["x"]}, {"loss": "mean_squared_error"}, "dataset.inputs", "`features`"),
        ({"label": "z", "labels": {"kind": "k"}}, {"outputs": [OUTPUT]}, "dataset.labels", "instead of `label`"),
        (
            {"inputs": {"a": ["x", "k"]}, "labels": {"kind": "k"}},
            {"outputs": [OUTPUT]},
            "dataset.labels",
            '"k" is the label kind, so it cannot be in the input a too',
        ),
        ({"inputs": {"a": ["x", "x"]}}, {"loss": "mean_squared_error"}, "dataset.inputs.a.columns", "named twice"),
        ({"inputs": {"A": "x"}}, {"loss": "mean_squared_error"}, "dataset.inputs.A", "a lower-case letter"),
        ({"inputs": {"a": {"colums": "x"}}}, {"loss": "mean_squared_error"}, "dataset.inputs.a.colums", "columns?"),
    ],
)
def test_contradictory_parts_are_refused(dataset, network, path, message):
    with pytest.raises(InvalidSpec) as refused:
        validate_job(job(dataset, network))
    errors = {error.path: error.message for error in refused.value.errors}
    assert path in errors, errors
    assert message in errors[path]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("macro_f1", "values of this name have the setting {f1: {average: macro}}"),
        ("weighted_recall", "values of this name have the setting {recall: {average: weighted}}"),
        ("macro_auc", "values of this name have the setting auc"),
        ("top_3", "values of this name have the setting {top_k: {k: 3}}"),
        ("weighted_top_3", "values of this name have the setting {top_k: {k: 3, weighted: true}}"),
        ("f_1", "did you mean f1?"),
        ("macro_f2", "known here: accuracy, top_k, "),
    ],
)
def test_the_name_of_a_value_shows_its_metric(name, hint):
    with pytest.raises(InvalidSpec) as caught:
        validate_job(job({}, {"loss": "softmax_cross_entropy", "metrics": [name]}))
    (error,) = caught.value.errors
    assert error.path == "network.metrics[0]"
    assert error.message.startswith(f'there is no "{name}"; {hint}')
