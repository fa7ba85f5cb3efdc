"""Recurrent layers against naive twins, step by step and row by row, and steps that a mask skips."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec import recurrent
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.workers.network import Model, Pass, Program, check_gradients, random_batch

from .examples import assert_sound
from .test_onnx import agree
from .training_step import initial, step

WORDS, SIZE, STEPS = 6, 3, 5


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def naive_lstm(x, mask, weights):
    """Return the states after each step of one sequence x (steps, features), by the documentation of Keras."""
    h = c = np.zeros(len(weights["recurrent_kernel"]))
    states = []
    for now, counts in zip(x, mask, strict=True):
        i, f, g, o = np.split(now @ weights["kernel"] + h @ weights["recurrent_kernel"] + weights["bias"], 4)
        if counts:
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def naive_gru(x, mask, weights, reset_after=True):
    """Return the states of a GRU likewise."""
    kernel, recurrent, bias = weights["kernel"], weights["recurrent_kernel"], weights["bias"]
    b, b_inner = bias if reset_after else (bias, np.zeros_like(bias))
    h, states = np.zeros(len(recurrent)), []
    for now, counts in zip(x, mask, strict=True):
        (xz, xr, xg), (hz, hr, hg) = np.split(now @ kernel + b, 3), np.split(h @ recurrent + b_inner, 3)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        g = np.tanh(xg + (r * hg if reset_after else (r * h) @ np.split(recurrent, 3, axis=1)[2]))
        h = z * h + (1 - z) * g if counts else h
        states.append(h)
    return np.array(states)


KINDS = [("lstm", {"units": 4}), ("gru", {"units": 4}), ("gru", {"units": 3, "reset_after": False})]


def twin_of(kind, options):
    return naive_lstm if kind == "lstm" else partial(naive_gru, reset_after=options.get("reset_after", True))


def masked(kind, options, **more):
    """Return an embedding and a recurrent layer that skips zeros."""
    layers = [
        {"embedding": {"input_dim": WORDS, "output_dim": SIZE, "name": "words"}},
        {kind: {**options, **more, "inputs": ["words", "input"], "name": "middle"}},
        "flatten",
        {"dense": {"units": 3}},
    ]
    return layers, (STEPS,)


def program_of(network, rows, seed=1, dtype=np.float64):
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, network.layout.size)
    return Program(network, rows, dtype), (initial(network, seed) + noise).astype(dtype)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("sequences", [False, True])
@given(seed=st.integers(0, 1000), rows=st.integers(1, 4))
@settings(deadline=None, max_examples=15)
def test_equals_the_naive_twin(make_network, kind, options, sequences, seed, rows):
    layers, shape = masked(kind, options, return_sequences=sequences)
    network = make_network(layers, input_shape=shape)
    program, vector = program_of(network, rows, seed)
    program.x[...], program.y[...] = random_batch(network, seed, rows)
    weights = network.bind(vector)
    program.forward(weights)
    for n, words in enumerate(program.x.astype(int)):
        states = twin_of(kind, options)(weights[0]["embeddings"][words], words != 0, weights[1])
        expected = states if sequences else states[-1]
        np.testing.assert_allclose(program.outputs[1][n], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("sequences", [False, True])
def test_gradients_past_skipped_steps(make_network, kind, options, sequences):
    layers, shape = masked(kind, options, return_sequences=sequences)
    network = make_network(layers, input_shape=shape)
    x, y = random_batch(network, 3, 6)
    x[0], x[1, :3], x[2, 2:] = 0, 0, 0  # nothing, padded in front, padded behind
    assert 0 < np.count_nonzero(x) < x.size
    report = check_gradients(network, x, y, 3)
    assert_sound(report)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("sequences", [False, True])
def test_onnx_runtime_skips_the_same_steps(make_network, kind, options, sequences):
    layers, shape = masked(kind, options, return_sequences=sequences)
    network = make_network(layers, input_shape=shape)
    _, vector = program_of(network, 1, dtype=np.float32)
    agree(Model.plain(network.spec, shape, vector), random_batch(network, 4, 20)[0].astype(np.float32))


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("in_front", [False, True])
def test_padding_changes_nothing(make_network, kind, options, in_front):
    layers, _ = masked(kind, options)
    short, long = make_network(layers, input_shape=(3,)), make_network(layers, input_shape=(7,))
    x, y = np.array([[1, 2, 3], [5, 4, 1.0]]), np.array([0, 2])
    padded = np.pad(x, [(0, 0), (4, 0) if in_front else (0, 4)])
    gradients = []
    for network, samples in ((short, x), (long, padded)):
        program, vector = program_of(network, 2)
        gradients.append(step(program, vector, (samples, y))[1])
    np.testing.assert_allclose(*gradients, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_a_row_does_not_depend_on_the_masks_of_others(make_network, kind, options):
    layers, shape = masked(kind, options)
    network = make_network(layers, input_shape=shape)
    program, vector = program_of(network, 2)
    outputs = []
    for neighbour in (np.zeros(STEPS), np.array([1, 0, 2, 0, 3])):
        program.x[...] = [[1, 0, 2, 3, 0], neighbour]
        outputs.append(program.predict(network.bind(vector))[0].copy())
    assert np.array_equal(*outputs)


def test_a_long_cell_remembers_because_the_forget_gate_begins_open(make_network):
    for open_gate, bias in ((True, [0, 0, 1, 1, 0, 0, 0, 0]), (False, [0] * 8)):
        layers = [{"lstm": {"units": 2, "unit_forget_bias": open_gate, "name": "cell"}}, {"dense": {"units": 3}}]
        network = make_network(layers, input_shape=(4, 3))
        assert network.bind(initial(network))[0]["bias"].tolist() == bias


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("units", [5, 48, 128])
def test_bits_do_not_depend_on_where_memory_lies(make_network, kind, options, units):
    """Gates are views of the kernels, whose rows may have any alignment."""
    network = make_network([{kind: {**options, "units": units}}, {"dense": {"units": 3}}], input_shape=(6, 7))
    _, values = program_of(network, 32, dtype=np.float32)
    batch, results = random_batch(network, 1, 32), set()
    for offset in range(17):
        vector, gradient = (np.zeros(values.size + 17, np.float32)[offset : offset + values.size] for _ in range(2))
        vector[...] = values
        program = Program(network, 32)
        program.x[...], program.y[...] = batch
        sums = program.forward(network.bind(vector)).tobytes()
        program.backward(network.bind(vector), network.bind(gradient), 1 / 32)
        results.add((sums, gradient.tobytes()))
    assert len(results) == 1


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_extreme_gates_stay_numbers(make_network, kind, options):
    network = make_network([{kind: options}, {"dense": {"units": 3}}], input_shape=(4, 3))
    program, vector = program_of(network, 2, dtype=np.float32)
    vector *= 1e6
    program.x[...], program.y[...] = random_batch(network, 1, 2)
    assert np.isfinite(program.forward(network.bind(vector))).all()


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([{"lstm": {"units": 2}}], (6,), "takes a sequence of vectors per sample, (steps, features)"),
        (
            [{"lstm": {"units": 2, "inputs": ["input", "input"]}}],
            (4, 2),
            "one number for each of the 4 steps, shape (4)",
        ),
    ],
)
def test_other_shapes_than_sequences_of_vectors_are_refused(make_network, layers, shape, message):
    with pytest.raises(InvalidSpec) as refused:
        make_network([*layers, {"dense": {"units": 3}}], input_shape=shape)
    assert refused.value.errors[0].path == "network.layers[0].lstm"
    assert message in refused.value.errors[0].message


DROPPED = [(kind, {**options, "recurrent_dropout": 0.5}) for kind, options in KINDS]


@pytest.mark.parametrize(("kind", "options"), DROPPED, ids=str)
def test_recurrent_dropout_is_of_training_alone_and_depends_on_seed_and_step(make_network, kind, options):
    outputs = []
    for more in (options, {**options, "recurrent_dropout": 0.0}):
        network = make_network([{kind: more}, {"dense": {"units": 3}}], input_shape=(3, 2))
        program, vector = program_of(network, 4)
        program.x[...] = random_batch(network, 1, 4)[0]
        for pass_ in (Pass(), Pass(True, 1, 5), Pass(True, 1, 5), Pass(True, 1, 6)):
            program.forward(network.bind(vector), pass_)
            outputs.append(program.outputs[0].tobytes())
    evaluated, drawn, again, other, *without = outputs
    assert {evaluated} == set(without)
    assert drawn == again
    assert len({evaluated, drawn, other}) == 3


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("sequences", [False, True])
def test_backward_direction_is_that_of_the_reversed_sequence(make_network, kind, sequences):
    """With the same parameters, one direction of a sequence is the other of the reversed sequence, reversed."""
    cell = {kind: {"units": 2, "return_sequences": sequences}}
    layers = [{"bidirectional": {"layer": cell, "inputs": ["x", "mask"]}}, "flatten", {"dense": {"units": 1}}]
    network = make_network(layers, "mean_squared_error", {"x": (4, 3), "mask": (4,)})
    program, generator = Program(network, 3, np.float64), np.random.default_rng(1)
    vector = generator.normal(size=network.layout.size)
    views = network.bind(vector)[0]
    for name in ("kernel", "recurrent_kernel", "bias"):
        views[f"backward_{name}"][...] = views[f"forward_{name}"]
    x, mask = generator.normal(size=(3, 4, 3)), np.array([[1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]])
    outputs = []
    for order in (slice(None), slice(None, None, -1)):
        program.xs["x"][...], program.xs["mask"][...] = x[:, order], mask[:, order]
        program.forward(network.bind(vector))
        y = program.outputs[0]
        outputs.append((y[..., :2].copy(), y[..., 2:].copy()))
    (ahead, back), (ahead_of_reversed, back_of_reversed) = outputs
    turned = (slice(None), slice(None, None, -1)) if sequences else ()
    np.testing.assert_array_equal(back, ahead_of_reversed[turned])
    np.testing.assert_array_equal(ahead, back_of_reversed[turned])


@pytest.mark.parametrize(("field", "value"), [("name", "inner"), ("activity_regularizer", {"l1": 0.1})])
def test_a_layer_inside_another_has_no_fields_of_the_other(field, value):
    cell = {"lstm": {"units": 2, field: value}}
    with pytest.raises(ValueError, match=f"`{field}` belongs to bidirectional: write it beside `layer`"):
        recurrent.Bidirectional.model_validate({"layer": cell})


def test_the_canonical_form_of_a_job_in_both_directions_is_read_again():
    layers = [{"bidirectional": {"layer": {"lstm": {"units": 2}}}}]
    data = {"dataset": {"uri": "a.npz"}, "network": {"layers": layers, "loss": "mean_squared_error"}}
    spec = validate_job(data)
    assert validate_job(spec.canonical()) == spec
