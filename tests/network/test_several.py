"""Several inputs and outputs: derivatives of a weighted sum of losses, names of sums, and invalid specifications."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec import network as spec
from raydient.spec.errors import InvalidSpec
from raydient.workers.network import Program, build, check_gradients, random_batches

from .examples import assert_sound
from .training_step import initial, step

SHAPES = {"image": (4, 3), "table": (2,)}
LAYERS = [
    {"flatten": {"inputs": "image"}},
    {"dense": {"name": "left", "units": 5, "activation": "tanh"}},
    {"dense": {"name": "right", "units": 5, "activation": "sigmoid", "inputs": "table"}},
    {"add": {"name": "both", "inputs": ["left", "right"]}},
    {"dense": {"name": "digit", "units": 3, "inputs": "both"}},
    {"dense": {"name": "age", "units": 2, "inputs": "both"}},
]
OUTPUTS = [
    {"layer": "digit", "label": "d", "loss": "softmax_cross_entropy", "weight": 0.3},
    {"layer": "age", "label": "a", "loss": "mean_squared_error", "weight": 2.5},
]


def make(layers=LAYERS, outputs=OUTPUTS, shapes=SHAPES):
    return build(spec.Network.model_validate({"layers": layers, "outputs": outputs}), shapes)


def double_step(network, xs, ys):
    """Return the sums and the gradient of one batch at the initial weights, in float64."""
    program = Program(network, len(next(iter(xs.values()))), np.float64)
    return step(program, initial(network, dtype=np.float64), (xs, ys))


def test_gradients_of_a_weighted_sum():
    network = make()
    assert_sound(check_gradients(network, *random_batches(network, 1, 6), 1))


def test_the_sum_is_the_weighted_sum_of_the_losses():
    """Compare with networks that have one of the outputs, without the layers of the other."""
    network = make()
    xs, ys = random_batches(network, 3, 5)
    sums, gradient = double_step(network, xs, ys)
    names = network.layout.parameters
    total, expected = 0.0, {p.name: 0.0 for p in names}
    for output in OUTPUTS:
        others = {"digit", "age"} - {output["layer"]}
        layers = [layer for layer in LAYERS if next(iter(layer.values())).get("name") not in others]
        alone = make(layers, [{**output, "weight": 1.0}])
        parts, part = double_step(alone, xs, {output["layer"]: ys[output["layer"]]})
        total += output["weight"] * parts[0]
        for p in alone.layout.parameters:
            expected[p.name] = expected[p.name] + output["weight"] * p.view(part)
    assert sums[0] == pytest.approx(total, rel=1e-12)
    for p in names:
        np.testing.assert_allclose(p.view(gradient), expected[p.name], rtol=1e-9, atol=1e-14)


def test_names_of_sums_begin_with_the_output():
    network = make()
    assert network.metric_names == ("loss", "digit_loss", "digit_accuracy", "age_loss", "age_mean_absolute_error")
    sums, _ = double_step(network, *random_batches(network, 2, 4))
    assert sums[0] == pytest.approx(0.3 * sums[1] + 2.5 * sums[3])


def test_an_output_that_another_layer_reads_has_both_derivatives():
    outputs = [
        {"layer": "both", "label": "b", "loss": "sum_squared_error", "weight": 0.5},
        {"layer": "again", "label": "b", "loss": "mean_squared_error"},
        {"layer": "digit", "label": "d", "loss": "softmax_cross_entropy"},
    ]
    layers = [*LAYERS[:5], {"activation": {"name": "again", "function": "tanh", "inputs": "both"}}]
    network = make(layers, outputs)
    assert_sound(check_gradients(network, *random_batches(network, 1, 6), 1))


def test_prediction_does_not_change_an_output_that_another_layer_reads():
    layers = [
        {"dense": {"name": "one", "units": 1, "inputs": "table"}},
        {"flatten": {"name": "same", "inputs": "one"}},
    ]
    outputs = [
        {"layer": "one", "label": "a", "loss": "binary_cross_entropy"},
        {"layer": "same", "label": "b", "loss": "mean_squared_error"},
    ]
    network = make(layers, outputs, {"table": (2,)})
    program, vector = Program(network, 3), np.array([1, -2, 0.5], np.float32)
    program.xs["table"][...] = np.arange(6).reshape(3, 2)
    predicted = program.predict_all(network.bind(vector))
    plain = program.xs["table"] @ [[1], [-2]] + 0.5
    np.testing.assert_allclose(predicted["same"], plain)
    np.testing.assert_allclose(predicted["one"], 1 / (1 + np.exp(-plain)), rtol=1e-6)


@st.composite
def graphs(draw):
    """Draw a graph of vectors of three numbers over two inputs; its outputs include all values that are not read."""
    layers, made = [], ["a", "b"]
    for n in range(draw(st.integers(2, 7))):
        kind = draw(st.sampled_from(["dense", "add", "multiply", "activation"]))
        count = 2 if kind in ("add", "multiply") else 1
        inputs = draw(st.lists(st.sampled_from(made), min_size=count, max_size=count))
        options = {"dense": {"units": 3, "activation": "tanh"}, "activation": {"function": "sigmoid"}}.get(kind, {})
        layers.append({kind: {**options, "name": f"layer_{n}", "inputs": inputs}})
        made.append(f"layer_{n}")
    layers.append({"dense": {"units": 3, "name": "first", "inputs": "a"}})
    layers.append({"add": {"name": "last", "inputs": ["first", "b"]}})
    taken = {source for layer in layers for options in layer.values() for source in options["inputs"]}
    loose = [name for name in [*made[2:], "last"] if name not in taken]
    more = draw(st.sets(st.sampled_from([*made[2:], "first"]), max_size=3)) - set(loose)
    losses = st.sampled_from(["mean_squared_error", "sum_squared_error", "softmax_cross_entropy"])
    outputs = [
        {"layer": name, "label": name, "loss": draw(losses), "weight": draw(st.sampled_from([0.25, 1.0, 3.0]))}
        for name in [*loose, *sorted(more)]
    ]
    return layers, outputs


@settings(derandomize=True, deadline=None, max_examples=60)
@given(graph=graphs(), rows=st.integers(1, 4), seed=st.integers(0, 1000))
def test_any_graph_of_several_outputs(graph, rows, seed):
    network = make(*graph, {"a": (3,), "b": (3,)})
    assert_sound(check_gradients(network, *random_batches(network, seed, rows), seed))


def test_several_inputs_or_outputs_need_names():
    network = make()
    program = Program(network, 2)
    for only_one in (lambda: network.output, lambda: program.x, lambda: program.y):
        with pytest.raises(ValueError, match="name each of them"):
            only_one()
    with pytest.raises(ValueError, match="the names must be image, table, not table"):
        check_gradients(network, {"table": np.zeros((1, 2))}, {}, 1)


def named(layer, **changes):
    """Return `LAYERS` with changed settings of one layer."""
    return [
        {kind: {**options, **changes} if options.get("name") == layer else options}
        for entry in LAYERS
        for kind, options in entry.items()
    ]


@pytest.mark.parametrize(
    ("layers", "outputs", "path", "message"),
    [
        (
            named("right", inputs="tabel"),
            OUTPUTS,
            "network.layers[2].dense.inputs",
            '"tabel" is not a layer; did you mean table?',
        ),
        (
            named("right", inputs="xyz"),
            OUTPUTS,
            "network.layers[2].dense.inputs",
            "is not a layer; the inputs are image, table",
        ),
        (named("right", inputs="left"), OUTPUTS, "dataset.inputs.table", "no layer reads this input"),
        (
            [{"flatten": {}}, *LAYERS[1:]],
            OUTPUTS,
            "network.layers[0].flatten.inputs",
            "is missing: name the inputs that the first layer reads, of image, table",
        ),
        (named("right", name="image"), OUTPUTS, "network.layers[2].dense.name", '"image" is an input'),
        (
            LAYERS,
            OUTPUTS[:1],
            "network.layers[5].dense",
            "no layer reads the output of age, and it is not an output of the network",
        ),
        (
            LAYERS,
            [*OUTPUTS, {**OUTPUTS[0], "layer": "diget"}],
            "network.outputs[2].layer",
            '"diget" is not a layer; did you mean digit?',
        ),
        (LAYERS, [*OUTPUTS, {**OUTPUTS[0], "layer": "table"}], "network.outputs[2].layer", '"table" is not a layer'),
        (
            LAYERS,
            [OUTPUTS[0], {**OUTPUTS[1], "loss": "binary_cross_entropy", "metrics": [{"f1": {"average": "binary"}}]}],
            "network.outputs[1].metrics[0].f1",
            "binary is of class 1 of two classes, but there are 2 labels",
        ),
        (
            [{"reshape": {"inputs": "image", "shape": [5]}}, *LAYERS[1:]],
            OUTPUTS,
            "network.layers[0].reshape",
            "the input image has shape (4, 3), but reshape_1 gives samples (5), 5 values instead of 12",
        ),
    ],
)
def test_invalid_specifications_are_refused_with_a_path(layers, outputs, path, message):
    with pytest.raises(InvalidSpec) as refused:
        make(layers, outputs)
    errors = {error.path: error.message for error in refused.value.errors}
    assert path in errors, errors
    assert message in errors[path]
