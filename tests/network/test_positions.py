"""Losses and metrics with several labels a sample: at the positions of sequences and images, or one for each output."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec.losses import Loss
from raydient.workers.network import Program, check_gradients, random_batch
from raydient.workers.network.losses import SKIPPED, loss_class
from raydient.workers.network.metrics.metric import CLASSES as ALTERNATIVES

from .examples import assert_sound
from .test_allocation import WITHIN_A_CALL, allocated, step_of
from .test_losses import TWINS as LOSS_TWINS
from .test_metrics import TWINS as METRIC_TWINS
from .test_onnx import agree, model_of, samples

PADDED = {"ignore_class": -1}
CASES = {
    "sequences": ("softmax_cross_entropy", (4, 3), "softmax_cross_entropy"),
    "images": ("softmax_cross_entropy", (2, 2, 3), "softmax_cross_entropy"),
    "padding": ({"softmax_cross_entropy": PADDED}, (4, 3), "softmax_cross_entropy"),
    "a sample at most": ({"softmax_cross_entropy": PADDED}, (3,), "softmax_cross_entropy"),
    "smoothed": ({"softmax_cross_entropy": {**PADDED, "label_smoothing": 0.2}}, (4, 3), "smoothed"),
    "probabilities": ({"softmax_cross_entropy": {"one_hot": True}}, (4, 3), "one_hot"),
    "several labels": ("binary_cross_entropy", (5,), "binary_cross_entropy"),
    "smoothed labels": ({"binary_cross_entropy": {"label_smoothing": 0.2}}, (5,), "binary smoothed"),
    "binary images": ("binary_cross_entropy", (2, 3, 1), "binary_cross_entropy"),
    "focused": ({"categorical_focal_cross_entropy": PADDED}, (4, 3), "categorical_focal"),
    "divergence": ("kl_divergence", (4, 3), "kl_divergence"),
    "focused labels": ("binary_focal_cross_entropy", (5,), "binary_focal"),
    "distances": ("hinge", (5,), "hinge"),
}
"""Loss, shape of the outputs, and the twin of one place."""


def has_classes(choice):
    """True of a loss with one output per class."""
    return Loss.model_validate(choice).kind in ALTERNATIVES


def labels_of(loss, options, generator, rows, shape):
    """Random labels, of which some are skipped where the settings allow it."""
    labels = loss.random_labels(generator, rows, shape)
    if loss.skips(options):
        labels[generator.random(labels.shape) < 0.3] = SKIPPED
    return labels


def places_of(choice, outputs, labels):
    """Pairs of the outputs and the label of each place of a sample that counts, as a twin takes them."""
    if has_classes(choice):
        flat = outputs.reshape(-1, outputs.shape[-1])
        pairs = zip(flat.tolist(), labels.reshape(-1, *labels.shape[outputs.ndim - 1 :]).tolist(), strict=True)
        return [(y, t) for y, t in pairs if t != SKIPPED]
    return [([y], [t]) for y, t in zip(outputs.ravel().tolist(), labels.ravel().tolist(), strict=True)]


def mean(values):
    return sum(values) / len(values) if values else 0.0


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=40)
@given(rows=st.integers(1, 4), seed=st.integers(0, 1000))
def test_the_loss_of_a_sample_is_the_mean_over_its_places_that_count(case, rows, seed):
    choice, shape, twin = CASES[case]
    generator, parsed = np.random.default_rng(seed), Loss.model_validate(choice)
    y = generator.normal(0, 5, (rows, *shape))
    loss = loss_class(parsed)(parsed.value, y, np.full_like(y, np.nan), y.copy())
    loss.labels[...] = labels_of(type(loss), parsed.value, generator, rows, shape)
    weights = generator.integers(0, 4, rows) / 2
    loss.weigh_samples(weights)
    loss.forward()
    each = [[LOSS_TWINS[twin][1](*one) for one in places_of(choice, *row)] for row in zip(y, loss.labels, strict=True)]
    cost = sum(w * mean([cost for cost, _ in row]) for w, row in zip(weights, each, strict=True))
    hits = sum(mean([hit for _, hit in row]) for row in each)
    np.testing.assert_allclose(loss.sums, [cost, hits], rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("weights", [None, np.array([0.5, 0.0, 2.0])])
@pytest.mark.parametrize(
    ("case", "weighted"),
    [*((case, False) for case in CASES), *((case, True) for case in CASES if case != "divergence")],
)
def test_gradients(make_network, case, weighted, weights):
    choice, shape, *_ = CASES[case]
    ((kind, options),) = choice.items() if isinstance(choice, dict) else {choice: {}}.items()
    if weighted:
        options = {**options, "class_weight": [0.5, 2.0, 1.5][: 3 if has_classes(choice) else 2]}
    hidden = {"dense": {"units": int(np.prod(shape)), "activation": "tanh"}}
    layers = [hidden, {"reshape": {"shape": list(shape)}}, {"dense": {"units": shape[-1]}}]
    network = make_network(layers, {kind: options})
    x, _ = random_batch(network, 1, 3)
    y = labels_of(network.output.loss, network.output.settings, np.random.default_rng(2), 3, shape)
    assert_sound(check_gradients(network, x, y, 1, weights=weights, entries_per_parameter=8))


def test_a_place_that_does_not_count_changes_nothing(make_network):
    layers, loss = [{"dense": {"units": 3, "use_bias": False}}], {"softmax_cross_entropy": PADDED}
    network = make_network(layers, loss, (4, 2), metrics=["f1", {"top_k": {"k": 2}}])
    program, weights = Program(network, 2), network.bind(np.linspace(-1, 1, 6, dtype=np.float32))
    gradient, results = np.zeros(6, np.float32), []
    program.y[...] = [[0, 1, -1, 2], [-1, -1, 2, -1]]
    for filler in (0, 7):
        program.x[...] = np.random.default_rng(1).standard_normal((2, 4, 2))
        program.x[program.y < 0] = filler
        sums = program.forward(weights).copy()
        program.backward(weights, network.bind(gradient), 0.5)
        results.append((sums.tobytes(), gradient.tobytes()))
    assert results[0] == results[1]


METRICS = [
    (case, kind)
    for case, (choice, *_) in CASES.items()
    if case not in ("a sample at most", "binary images")
    for kind in ("precision", "recall", "f1", "log_loss", *(("top_k",) if has_classes(choice) else ()))
    if kind != "log_loss" or case not in ("divergence", "distances")
]


@pytest.mark.parametrize(("case", "kind"), METRICS)
@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_metrics_count_places(make_network, case, kind, seed):
    choice, shape, _ = CASES[case]
    network = make_network(
        [{"dense": {"units": shape[-1], "use_bias": False}}],
        choice,
        shape,
        metrics=[{"top_k": {"k": 2}} if kind == "top_k" else kind],
    )
    program, generator = Program(network, 5, np.float64), np.random.default_rng(seed)
    program.x[...] = generator.integers(-3, 4, (5, *shape)) / 2
    program.y[...] = labels_of(network.output.loss, network.output.settings, generator, 5, shape)
    sums = program.forward(network.bind(np.eye(shape[-1]).reshape(-1)))
    value = network.finish([5.0, *sums])[network.metrics[0].name]
    assert value == pytest.approx(expected(kind, choice, program.x, program.y), abs=1e-12)


def expected(kind, choice, outputs, labels):
    """The value of a metric by the twins, which take one label a sample."""
    twin = METRIC_TWINS[kind]
    if kind == "log_loss":
        loss = "softmax_cross_entropy" if has_classes(choice) else "binary_cross_entropy"
        rows = [places_of(choice, *row) for row in zip(outputs, labels, strict=True)]
        if labels.ndim == outputs.ndim and has_classes(choice):
            rows = [[(y, t.index(max(t))) for y, t in row] for row in rows]
        return mean([twin(*zip(*row, strict=True), loss) if row else 0.0 for row in rows])
    if has_classes(choice):
        if labels.ndim == outputs.ndim:
            labels = labels.argmax(axis=-1)
        rows = [places_of(choice, *row) for row in zip(outputs, labels, strict=True)]
        if kind == "top_k":
            return mean([twin(*zip(*row, strict=True), "softmax_cross_entropy") if row else 0.0 for row in rows])
        return twin(*zip(*(place for row in rows for place in row), strict=True), "softmax_cross_entropy")
    units = [(y[:, None].tolist(), t[:, None].tolist()) for y, t in zip(outputs.T, labels.T, strict=True)]
    seen = [(y, t) for y, t in units if np.greater(y, 0).any() or np.any(t)]
    return mean([twin(y, t, "binary_cross_entropy") for y, t in seen])


@pytest.mark.parametrize("case", CASES)
def test_exported(make_network, case):
    choice, shape, *_ = CASES[case]
    model = model_of(make_network([{"dense": {"units": shape[-1]}}], choice, shape))
    agree(model, samples(model))


@pytest.mark.parametrize(
    ("case", "classes"), [("sequences", (4,)), ("images", (2, 2)), ("several labels", (5,)), ("binary images", (2, 3))]
)
def test_each_place_has_a_class(case, classes):
    choice, shape, *_ = CASES[case]
    loss = loss_class(Loss.model_validate(choice))
    predictions = np.random.default_rng(1).random((7, *shape), np.float32)
    assert loss.classify(predictions).shape == (7, *classes)
    assert loss.classify(predictions).dtype == np.int32


@pytest.mark.parametrize("case", ["padding", "smoothed", "probabilities", "several labels", "focused"])
def test_nothing_of_batch_size_is_allocated(make_network, case):
    choice, shape, *_ = CASES[case]
    metrics = ["f1", {"top_k": {"k": 2}}] if has_classes(choice) else ["f1"]
    network = make_network([{"dense": {"units": shape[-1]}}], choice, shape, metrics=metrics)
    left, most = allocated(step_of(Program(network, 50_000, weighted=True)))
    assert left < 16_000
    assert most < WITHIN_A_CALL


def test_a_metric_that_ranks_samples_takes_no_positions(make_network):
    with pytest.raises(ValueError, match=r"metrics\[0\]\.auc: ranks samples, but the loss has several positions"):
        make_network([{"dense": {"units": 1}}], "binary_cross_entropy", (3, 2), metrics=["auc"])
