"""Graphs: random ones against difference quotients, branches against naive sums, and invalid graphs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec.errors import InvalidSpec
from raydient.workers.network import Program, check_gradients, random_batch

from .examples import assert_sound
from .training_step import step

NORMALIZATIONS = ("layer_normalization", "batch_normalization")
WIDTH = 3
"""Length of every vector in a random graph, so that any two can be joined."""


@st.composite
def graphs(draw):
    """Draw layers that read any values before them; values that are not read are joined at the end."""
    layers, made, owners = [], ["input"], []
    for n in range(draw(st.integers(1, 6))):
        name = f"layer_{n}"
        kinds = ["dense", "dense", "add", "multiply", "activation", "dropout", *NORMALIZATIONS]
        kind = draw(st.sampled_from(kinds + ["shared"] * bool(owners)))
        count = draw(st.integers(2, 3)) if kind in ("add", "multiply") else 1
        inputs = draw(st.lists(st.sampled_from(made), min_size=count, max_size=count))
        options = {
            "dense": {"units": WIDTH, "activation": "tanh"},
            "activation": {"function": "sigmoid"},
            "dropout": {"rate": 0.3},
            **{key: {"epsilon": 0.1} for key in NORMALIZATIONS},  # quotients are inaccurate where values hardly differ
            "shared": {"layer": draw(st.sampled_from(owners)) if owners else ""},
        }.get(kind, {})
        layers.append({kind: {**options, "name": name, "inputs": inputs}})
        made.append(name)
        owners += [name] * (kind in ("dense", *NORMALIZATIONS))
    taken = {source for layer in layers for options in layer.values() for source in options["inputs"]}
    loose = [name for name in made[1:] if name not in taken]
    if len(loose) > 1:
        layers.append({"add": {"name": "joined", "inputs": loose}})
        loose = ["joined"]
    return [*layers, {"dense": {"units": 2, "name": "last", "inputs": loose}}]


@settings(derandomize=True, deadline=None, max_examples=120)
@given(layers=graphs(), rows=st.integers(1, 4), seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_any_graph(make_network, layers, rows, seed, order):
    *before, last = layers
    order.shuffle(before)  # names, not the order of the list, determine the sources
    network = make_network([*before, last], "sum_squared_error", (WIDTH,))
    assert_sound(check_gradients(network, *random_batch(network, seed, rows), seed))


def test_two_branches_share_a_layer_and_meet_again(make_network):
    layers = [
        {"dense": {"units": 4, "name": "left", "inputs": "input", "activation": "tanh"}},
        {"dense": {"units": 4, "name": "right", "inputs": "input", "activation": "sigmoid"}},
        {"dense": {"units": 5, "name": "encoder", "inputs": "left", "activation": "tanh"}},
        {"shared": {"layer": "encoder", "name": "again", "inputs": "right"}},
        {"multiply": {"inputs": ["encoder", "again"]}},
        {"dense": {"units": 1}},
    ]
    network = make_network(layers, "sum_squared_error", (3,))
    assert [p.name for p in network.layout.parameters if "again" in p.name] == []
    assert_sound(check_gradients(network, *random_batch(network, 1, 5), 1))


def test_derivatives_of_two_paths_add(make_network):
    """y = w x + (w x)², written out: dy/dw = x + 2 w x²."""
    layers = [
        {"dense": {"units": 1, "use_bias": False, "name": "w"}},
        {"multiply": {"name": "square", "inputs": ["w", "w"]}},
        {"add": {"inputs": ["w", "square"]}},
    ]
    network = make_network(layers, "sum_squared_error", (1,))
    w, x, t = 0.5, 3.0, 1.0
    y = w * x + (w * x) ** 2
    sums, gradient = step(Program(network, 1, np.float64), np.array([w]), (x, t))
    assert sums[0] == pytest.approx((y - t) ** 2)
    assert gradient[0] == pytest.approx(2 * (y - t) * (x + 2 * w * x**2))


def test_a_chain_of_any_length_needs_two_slabs(make_network):
    network = make_network([{"dense": {"units": 6, "activation": "tanh"}}] * 9 + [{"dense": {"units": 3}}])
    program = Program(network, 8)
    owners = {id(buffers.dy.base) for buffers in program.buffers}
    assert len(owners) == 2


@pytest.mark.parametrize(
    ("layers", "path", "message"),
    [
        (
            [{"dense": {"units": 3, "inputs": "inptu"}}],
            "network.layers[0].dense.inputs",
            '"inptu" is not a layer; did you mean input?',
        ),
        (
            [
                {"dense": {"units": 3, "name": "a", "inputs": "c"}},
                {"dense": {"units": 3, "name": "b", "inputs": "a"}},
                {"add": {"name": "c", "inputs": ["b", "input"]}},
                {"dense": {"units": 3, "inputs": "c"}},
            ],
            "network.layers[0].dense.inputs",
            "the layers form a cycle: a reads c, c reads b, b reads a",
        ),
        (
            [{"dense": {"units": 4, "name": "lost"}}, {"dense": {"units": 3, "inputs": "input"}}],
            "network.layers[0].dense",
            "no layer reads the output of lost, and it is not the last layer",
        ),
        ([{"add": {"inputs": "input"}}, {"dense": {"units": 3}}], "network.layers[0].add.inputs", "at least 2 inputs"),
        (
            [{"dense": {"units": 3, "inputs": ["input", "input"]}}],
            "network.layers[0].dense.inputs",
            "takes 1 input, but has 2",
        ),
        (
            [
                {"dense": {"units": 4, "name": "a", "inputs": "input"}},
                {"dense": {"units": 5, "name": "b", "inputs": "input"}},
                {"add": {"inputs": ["a", "b"]}},
            ],
            "network.layers[2].add",
            "the output of a has shape (4) and the output of b has shape (5), but add_1 takes inputs of one shape",
        ),
        (
            [
                {"dense": {"units": 4, "name": "a"}},
                {"shared": {"layer": "a", "name": "b"}},
                {"dense": {"units": 3}},
            ],
            "network.layers[1].shared",
            "a has inputs of shape (6), but b, which shares its parameters, of (4)",
        ),
        (
            [{"dense": {"units": 4}}, {"shared": {"layer": "dense_9"}}],
            "network.layers[1].shared.layer",
            '"dense_9" is not a layer; did you mean dense_1?',
        ),
        (
            [{"reshape": {"shape": [4, 2]}}, "flatten", {"dense": {"units": 3}}],
            "network.layers[0].reshape",
            "the input has shape (6), but reshape_1 gives samples (4, 2), 8 values instead of 6",
        ),
        (
            [{"concatenate": {"axis": 2, "inputs": ["input", "input"]}}, {"dense": {"units": 3}}],
            "network.layers[0].concatenate",
            "joins along axis 2: the axes of a sample are 0 to 0, or -1 to -1",
        ),
    ],
)
def test_invalid_graphs_are_refused_with_a_path(make_network, layers, path, message):
    with pytest.raises(InvalidSpec) as refused:
        make_network(layers)
    errors = {error.path: error.message for error in refused.value.errors}
    assert path in errors, errors
    assert message in errors[path]
