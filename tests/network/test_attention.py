"""Attention against a naive twin, place by place, and causal masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec.errors import InvalidSpec
from raydient.workers.network import Program
from raydient.workers.network.layers import attention

from .training_step import initial

INPUT = {"flatten": {"name": "all", "inputs": "input"}}


def naive(settings, x, source, weights):
    """Compute one sample: the weighted means of each place and head, concatenated and projected."""
    heads, size, inner = settings["num_heads"], settings["key_dim"], settings["num_heads"] * settings["key_dim"]
    q = x @ weights["query_kernel"] + weights["query_bias"]
    k = source @ weights["key_kernel"] + weights["key_bias"]
    v = source @ weights["value_kernel"] + weights["value_bias"]
    context = np.zeros((len(x), inner))
    for t in range(len(x)):
        seen = min(t + 1, len(source)) if settings["causal"] else len(source)
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            shares = np.exp([q[t, part] @ k[s, part] / np.sqrt(size) for s in range(seen)])
            context[t, part] = sum(share * v[s, part] for s, share in enumerate(shares / shares.sum()))
    return context @ weights["output_kernel"] + weights["output_bias"]


def program_of(make_network, settings, shapes, rows, seed, dtype=np.float64):
    """Return a program in which attention reads parts of the samples, its weights, the parts and the output."""
    layers, length = [INPUT], sum(a * b for a, b in shapes)
    for n, (a, b) in enumerate(shapes):
        layers.append({"dense": {"name": f"part_{n}", "units": a * b, "inputs": "all"}})
        layers.append({"reshape": {"name": f"shaped_{n}", "shape": [a, b]}})
    names = [f"shaped_{n}" for n in range(len(shapes))]
    layers += [{"multi_head_attention": {**settings, "name": "attention", "inputs": names}}, "flatten"]
    network = make_network(layers, "sum_squared_error", (length,))
    random = np.random.default_rng(seed)
    vector = random.normal(size=network.layout.size).astype(dtype)
    program = Program(network, rows, dtype)
    program.x[...] = random.normal(size=program.x.shape)
    program.forward(network.bind(vector))
    at = {layer.name: n for n, layer in enumerate(network.layers)}
    return program, vector, [program.outputs[at[name]] for name in names], program.outputs[at["attention"]]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=2),
    features=st.lists(st.integers(1, 4), min_size=2, max_size=2),
    heads=st.integers(1, 3),
    size=st.integers(1, 3),
    causal=st.booleans(),
    rows=st.integers(1, 4),
    block=st.sampled_from([1, 100, attention.BLOCK]),
)
def test_equals_the_twin(make_network, lengths, features, heads, size, causal, rows, block):
    options = {"num_heads": heads, "key_dim": size, "causal": causal}
    shapes = list(zip(lengths, features, strict=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "BLOCK", block)
        program, vector, parts, y = program_of(make_network, options, shapes, rows, seed=rows)
    views = program.network.layout.views(vector)
    weights = {name.partition(".")[2]: view for name, view in views.items() if name.startswith("attention.")}
    for row in range(rows):
        expected = naive(options, parts[0][row], parts[-1][row], weights)
        np.testing.assert_allclose(y[row], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shapes", [[(6, 4)], [(5, 3), (6, 4)]], ids=["self", "two inputs"])
def test_blocks_change_no_bit(make_network, monkeypatch, shapes):
    results = set()
    for block in (1, 3 * 72, 10_000):
        monkeypatch.setattr(attention, "BLOCK", block)
        program, vector, _, y = program_of(
            make_network, {"num_heads": 2, "key_dim": 4}, shapes, rows=7, seed=3, dtype=np.float32
        )
        gradient = np.full_like(vector, np.nan)
        program.backward(program.network.bind(vector), program.network.bind(gradient), 1 / 7)
        results.add((y.tobytes(), gradient.tobytes()))
    assert len(results) == 1


def test_causal_attention_ignores_later_places(make_network):
    options = {"num_heads": 2, "key_dim": 3, "causal": True}
    layers = [{"multi_head_attention": options}, "flatten"]
    network = make_network(layers, "sum_squared_error", (5, 4))
    vector = np.random.default_rng(1).normal(size=network.layout.size)
    program = Program(network, 1, np.float64)
    program.x[...] = np.random.default_rng(2).normal(size=program.x.shape)
    program.forward(network.bind(vector))
    before = program.outputs[0].copy()
    program.x[0, 3] += 1
    program.forward(network.bind(vector))
    after = program.outputs[0]
    assert np.array_equal(before[0, :3], after[0, :3])
    assert (before[0, 3:] != after[0, 3:]).any(axis=1).all()


def test_large_scores_do_not_overflow(make_network):
    network = make_network(
        [{"multi_head_attention": {"num_heads": 1, "key_dim": 2}}, "flatten"], "sum_squared_error", (3, 2)
    )
    vector = np.ones(network.layout.size, np.float32)
    program = Program(network, 2)
    program.x[...] = np.array([[1000, 1000], [-1000, 1000], [500, 500]])
    program.forward(network.bind(vector))
    assert np.isfinite(program.outputs[0]).all()


@pytest.mark.parametrize("shape", [(6,), (2, 3, 4)])
def test_other_shapes_than_sequences_are_refused(make_network, shape):
    layers = [{"multi_head_attention": {"num_heads": 1, "key_dim": 2}}, "flatten", {"dense": {"units": 1}}]
    with pytest.raises(InvalidSpec, match=r"multi_head_attention_1 takes sequences of vectors, samples of shape"):
        make_network(layers, input_shape=shape)


def test_kernels_and_biases_have_their_initializers(make_network):
    constants = {"kernel_initializer": {"constant": {"value": 2}}, "bias_initializer": "ones"}
    settings = {"num_heads": 2, "key_dim": 3, **constants}
    network = make_network([{"multi_head_attention": settings}, "flatten"], "huber", (4, 5))
    (views,) = [view for view in network.bind(initial(network)) if view]
    assert len(views) == 8
    for name, view in views.items():
        assert (view == (2 if name.endswith("_kernel") else 1)).all()
