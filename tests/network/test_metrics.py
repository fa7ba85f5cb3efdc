"""Each metric against a naive twin that sees all rows at once, however they were divided; and what is refused."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.spec import metrics as spec
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Network
from raydient.workers.network import Program, build
from raydient.workers.network.metrics import BY_LOSSES, METRICS


def positives(y, t, kind):
    """Pairs (taken for, is) for each class: of class 1 alone where there are two."""
    if kind == "softmax_cross_entropy":
        return [
            [(row.index(max(row)) == k, true == k) for row, true in zip(y, t, strict=True)] for k in range(len(y[0]))
        ]
    return [[(row[0] > 0, true[0] == 1) for row, true in zip(y, t, strict=True)]]


def ratio(above, below):
    return above / below if below else 0.0


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def precision(y, t, kind):
    return mean(ratio(sum(p and a for p, a in one), sum(p for p, _ in one)) for one in positives(y, t, kind))


def recall(y, t, kind):
    return mean(ratio(sum(p and a for p, a in one), sum(a for _, a in one)) for one in positives(y, t, kind))


def f1(y, t, kind):
    return mean(
        ratio(2 * sum(p and a for p, a in one), sum(p for p, _ in one) + sum(a for _, a in one))
        for one in positives(y, t, kind)
    )


def top_2(y, t, kind):
    return mean(true in sorted(range(len(row)), key=lambda k: -row[k])[:2] for row, true in zip(y, t, strict=True))


def auc(y, t, kind):
    bins = [math.floor(200 / (1 + math.exp(-row[0]))) for row in y]
    pairs = [
        (a > b) + (a == b) / 2
        for a, s in zip(bins, t, strict=True)
        for b, u in zip(bins, t, strict=True)
        if s[0] == 1 and u[0] == 0
    ]
    return mean(pairs) if pairs else 0.5


def predictions(y, kind):
    return [[math.exp(v) if kind == "poisson" else v for v in row] for row in y]


def root_mean_squared_error(y, t, kind):
    return math.sqrt(float(np.mean((np.array(predictions(y, kind)) - t) ** 2)))


def r2(y, t, kind):
    def of(column):
        labels = [row[column] for row in t]
        spread = sum((label - mean(labels)) ** 2 for label in labels)
        errors = sum((p[column] - label) ** 2 for p, label in zip(predictions(y, kind), labels, strict=True))
        return 1 - errors / spread if spread > 1e-9 else 0.0

    return mean(of(column) for column in range(len(t[0])))


TWINS = {
    "top_k": top_2,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "auc": auc,
    "root_mean_squared_error": root_mean_squared_error,
    "r2": r2,
}
CASES = [(kind, loss) for kind, metric in METRICS.items() for loss in sorted(metric.losses)]
ONE_OUTPUT = ("binary_cross_entropy", "hinge")


def test_the_tables_cover_the_specification():
    assert METRICS.keys() | BY_LOSSES.keys() == spec.Metric.model_fields.keys()
    assert TWINS.keys() == METRICS.keys()


def network_with(make_network, kind, loss, units):
    """One layer, which with the identity as its kernel gives the samples as outputs."""
    choice = {"top_k": {"k": 2}} if kind == "top_k" else kind
    layers = [{"dense": {"units": units, "use_bias": False}}]
    return make_network(layers, loss, (units,), metrics=[choice])


@pytest.mark.parametrize(("kind", "loss"), CASES)
@given(data=st.data())
def test_value_is_that_of_the_twin(make_network, kind, loss, data):
    units = 1 if loss in ONE_OUTPUT else data.draw(st.integers(2, 4))
    network = network_with(make_network, kind, loss, units)
    shares = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    weights, sums, outputs, labels = np.eye(units).reshape(-1), np.zeros(1 + network.sums), [], []
    for rows in shares:
        program = Program(network, rows, np.float64)
        program.x[...] = generator.integers(-3, 4, (rows, units)) / 2  # few values: ties are among them
        program.y[...] = network.output.loss.random_labels(generator, rows, (units,))
        sums += [rows, *program.forward(network.bind(weights))]
        outputs += program.x.tolist()
        labels += program.y.tolist()
    name = "top_2" if kind == "top_k" else kind
    assert network.finish(sums)[name] == pytest.approx(TWINS[kind](outputs, labels, loss), rel=1e-9, abs=1e-9)


OUTPUTS = {
    "sort": ("softmax_cross_entropy", 4),
    "sorted": ("softmax_cross_entropy", 3),
    "sick": ("binary_cross_entropy", 1),
    "late": ("hinge", 1),
    "visits": ("poisson", 2),
    "price": ("mean_squared_error", 1),
}
"""Loss and number of units."""


def outputs_with_metrics():
    """A network of one layer for each output, which gives the samples of its own input; and all metrics that fit."""
    layers = [{"dense": {"name": name, "units": units, "inputs": f"of_{name}"}} for name, (_, units) in OUTPUTS.items()]
    metrics = {
        name: [
            {"top_k": {"k": 2}} if kind == "top_k" else kind
            for kind, metric in METRICS.items()
            if loss in metric.losses
        ]
        for name, (loss, _) in OUTPUTS.items()
    }
    outputs = [
        {"layer": name, "label": name, "loss": loss, "metrics": metrics[name]} for name, (loss, _) in OUTPUTS.items()
    ]
    shapes = {f"of_{name}": (units,) for name, (_, units) in OUTPUTS.items()}
    return build(Network.model_validate({"layers": layers, "outputs": outputs}), shapes)


@given(shares=st.lists(st.integers(1, 5), min_size=1, max_size=3), seed=st.integers(0, 1000))
def test_each_output_has_its_own(shares, seed):
    network, generator = outputs_with_metrics(), np.random.default_rng(seed)
    vector = np.zeros(network.layout.size)
    for views in network.bind(vector):
        views["kernel"][...] = np.eye(len(views["kernel"]))
    sums, seen = np.zeros(1 + network.sums), {name: ([], []) for name in OUTPUTS}
    for rows in shares:
        program = Program(network, rows, np.float64)
        for output in network.outputs:
            x, y = program.xs[f"of_{output.name}"], program.ys[output.name]
            x[...] = generator.integers(-3, 4, x.shape) / 2
            y[...] = output.loss.random_labels(generator, rows, output.shape)
            seen[output.name][0].extend(x.tolist())
            seen[output.name][1].extend(y.tolist())
        sums += [rows, *program.forward(network.bind(vector))]
    found = network.finish(sums)
    expected = {
        f"{name}_{'top_2' if kind == 'top_k' else kind}": TWINS[kind](*seen[name], loss)
        for name, (loss, _) in OUTPUTS.items()
        for kind, metric in METRICS.items()
        if loss in metric.losses
    }
    assert found.keys() == expected.keys() | set(network.metric_names)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("kind", "loss"), CASES)
def test_nothing_of_batch_size_is_allocated(make_network, kind, loss):
    """Arrays of a batch are 200,000 bytes at least; what NumPy takes to convert types is 64 KB at most."""
    network, rows = network_with(make_network, kind, loss, 1 if loss in ONE_OUTPUT else 4), 50_000
    program, weights = Program(network, rows), network.bind(np.ones(network.layout.size, np.float32))
    program.forward(weights)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        program.forward(weights)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 150_000


def test_one_hot_labels_have_classes(make_network):
    loss = {"softmax_cross_entropy": {"one_hot": True}}
    network = make_network([{"dense": {"units": 3, "use_bias": False}}], loss, (3,), metrics=["recall", "top_k"])
    program = Program(network, 2)
    program.x[...], program.y[...] = [[3, 1, 2], [3, 1, 2]], [[1, 0, 0], [0, 1, 0]]
    values = network.finish([2, *program.forward(network.bind(np.eye(3, dtype=np.float32).reshape(-1)))])
    assert values["recall"] == pytest.approx(1 / 3)
    assert values["top_5"] == 1
    assert values["accuracy"] == 0.5


def test_outputs_that_are_no_numbers_are_counted_somewhere(make_network):
    network = make_network([{"dense": {"units": 1}}], "binary_cross_entropy", metrics=["auc", "f1"])
    program = Program(network, 3)
    program.x[...] = np.nan
    sums = program.forward(network.bind(np.ones(network.layout.size, np.float32)))
    assert math.isnan(sums[0])
    assert np.isfinite(sums[1:]).all()


def test_what_a_loss_measures_anyhow_is_measured_once(make_network):
    network = make_network([{"dense": {"units": 3}}], "huber", metrics=["mean_absolute_error"])
    assert network.sums == 2
    assert network.finish([4.0, 2.0, 6.0]) == {"loss": 0.5, "mean_absolute_error": 1.5}


@pytest.mark.parametrize(("kind", "loss"), [("auc", "softmax_cross_entropy"), ("r2", "hinge"), ("accuracy", "huber")])
def test_a_metric_that_does_not_go_with_the_loss_is_refused(make_network, kind, loss):
    with pytest.raises(InvalidSpec) as caught:
        make_network([{"dense": {"units": 1}}], loss, metrics=[kind])
    (error,) = caught.value.errors
    assert error.path == f"network.metrics[0].{kind}"
    assert error.message.startswith(f"{kind} goes with ")
    assert error.message.endswith(f"not with {loss}")


def test_at_an_output_that_it_does_not_go_with_it_is_refused_with_its_path():
    network = outputs_with_metrics().spec.canonical()
    network["outputs"][1]["metrics"].insert(1, {"auc": {}})
    with pytest.raises(InvalidSpec) as caught:
        build(Network.model_validate(network), {f"of_{name}": (units,) for name, (_, units) in OUTPUTS.items()})
    (error,) = caught.value.errors
    assert error.path == "network.outputs[1].metrics[1].auc"
    assert error.message == "auc goes with binary_cross_entropy, hinge, not with softmax_cross_entropy"


def test_twice_the_same_is_refused(make_network):
    with pytest.raises(ValueError, match="top_5 is there twice"):
        make_network([{"dense": {"units": 3}}], metrics=["top_k", {"top_k": {"k": 5}}])
