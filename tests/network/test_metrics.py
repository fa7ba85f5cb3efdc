"""Metrics of any division into microbatches against naive twins over all rows, and metrics that are refused."""

import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.spec import metrics as spec
from raydient.spec.errors import InvalidSpec
from raydient.spec.monitored import larger_is_better
from raydient.spec.network import Network
from raydient.steps.scores import write_ranks
from raydient.workers.network import Program, build
from raydient.workers.network.metrics import BY_LOSSES, METRICS


def test_the_name_of_a_metric_tells_its_direction(make_network):
    assert {name: larger_is_better(name) for name in METRICS} == {
        name: metric.larger_is_better for name, metric in METRICS.items()
    }
    network = make_network([{"dense": {"units": 1}}], "mean_squared_error", input_shape=(2,))
    assert {name: larger_is_better(name) for name in network.larger_is_better} == network.larger_is_better


def positives(y, t, kind):
    """Return pairs (predicted, true) for each class that occurs, or for class 1 if there are two."""
    if kind not in ONE_OUTPUT:
        predicted = [row.index(max(row)) for row in y]
        classes = [1] if len(y[0]) == 2 else sorted({*predicted, *t})
        return [[(p == k, true == k) for p, true in zip(predicted, t, strict=True)] for k in classes]
    return [[(row[0] > 0, true[0] == 1) for row, true in zip(y, t, strict=True)]]


def scored(y, t, kind):
    """Return pairs (score, is of class 1) of two classes."""
    if kind in ONE_OUTPUT:
        return [(row[0], true[0] == 1) for row, true in zip(y, t, strict=True)]
    return [(row[1] - row[0], true == 1) for row, true in zip(y, t, strict=True)]


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
    rows = scored(y, t, kind)
    pairs = [(a > b) + (a == b) / 2 for a, is_1 in rows for b, is_also_1 in rows if is_1 and not is_also_1]
    return mean(pairs) if pairs else 0.5


def average_precision(y, t, kind):
    """Return the sum over thresholds of the gain in recall times precision."""
    total, last, rows = 0.0, 0.0, scored(y, t, kind)
    for least in sorted({score for score, _ in rows}, reverse=True):
        reached = [is_1 for score, is_1 in rows if score >= least]
        share = ratio(sum(reached), sum(is_1 for _, is_1 in rows))
        total, last = total + (share - last) * mean(reached), share
    return total


def log_loss(y, t, kind):
    if kind in ONE_OUTPUT:
        return mean(math.log(1 + math.exp(-row[0] if true[0] else row[0])) for row, true in zip(y, t, strict=True))
    return mean(math.log(sum(map(math.exp, row))) - row[int(true)] for row, true in zip(y, t, strict=True))


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
    "average_precision": average_precision,
    "log_loss": log_loss,
}
CASES = [(kind, loss) for kind, metric in METRICS.items() for loss in sorted(metric.losses)]
ONE_OUTPUT = ("binary_cross_entropy", "binary_focal_cross_entropy", "hinge")
RANKING = ("auc", "average_precision")


def test_the_tables_cover_the_specification():
    assert METRICS.keys() | BY_LOSSES.keys() == spec.Metric.model_fields.keys()
    assert TWINS.keys() == METRICS.keys()


class Whole:
    """Sums and scores of all programs, combined as on the parameter server."""

    def __init__(self, network):
        self.network, self.sums, self.scores = network, np.zeros(1 + network.sums), []

    def add(self, program, weights):
        self.sums += [program.rows, *program.forward(self.network.bind(weights))]
        self.scores.append(program.scores.copy())

    def finish(self):
        write_ranks(self.sums[1:], self.network.ranks, np.concatenate(self.scores))
        return self.network.finish(self.sums)


def network_with(make_network, kind, loss, units):
    """Return a network of one layer; with the identity as kernel, its outputs are the samples."""
    choice = {"top_k": {"k": 2}} if kind == "top_k" else kind
    layers = [{"dense": {"units": units, "use_bias": False}}]
    return make_network(layers, loss, (units,), metrics=[choice])


def name_of(kind, loss, units):
    """Return the name of a metric's values."""
    averages = kind in ("precision", "recall", "f1") and loss not in ONE_OUTPUT and units > 2
    return {"top_k": "top_2"}.get(kind, f"macro_{kind}" if averages else kind)


def units_of(kind, loss):
    """Return a number of outputs with which a metric goes."""
    if loss in ONE_OUTPUT:
        return 1
    return 2 if kind in RANKING else 4


def twin_labels(labels, loss):
    """Return labels as a twin takes them: of probabilities the index of the largest."""
    return labels.argmax(axis=1).tolist() if loss == "kl_divergence" else labels.tolist()


@pytest.mark.parametrize(("kind", "loss"), CASES)
@given(data=st.data())
def test_value_is_that_of_the_twin(make_network, kind, loss, data):
    units = units_of(kind, loss) if kind in RANKING else 1 if loss in ONE_OUTPUT else data.draw(st.integers(2, 4))
    network = network_with(make_network, kind, loss, units)
    shares = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    weights, whole, outputs, labels = np.eye(units).reshape(-1), Whole(network), [], []
    for rows in shares:
        program = Program(network, rows, np.float64)
        program.x[...] = generator.integers(-3, 4, (rows, units)) / 2  # few values: ties are among them
        program.y[...] = network.output.loss.random_labels(generator, rows, (units,))
        whole.add(program, weights)
        outputs += program.x.tolist()
        labels += twin_labels(program.y, loss)
    name = name_of(kind, loss, units)
    assert whole.finish()[name] == pytest.approx(TWINS[kind](outputs, labels, loss), rel=1e-9, abs=1e-9)


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
    """Return a network of one layer for each output, whose outputs are its samples, with all metrics that fit."""
    layers = [{"dense": {"name": name, "units": units, "inputs": f"of_{name}"}} for name, (_, units) in OUTPUTS.items()]
    metrics = {
        name: [
            {"top_k": {"k": 2}} if kind == "top_k" else kind
            for kind, metric in METRICS.items()
            if loss in metric.losses and (kind not in RANKING or loss in ONE_OUTPUT)
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
    whole, seen = Whole(network), {name: ([], []) for name in OUTPUTS}
    for rows in shares:
        program = Program(network, rows, np.float64)
        for output in network.outputs:
            x, y = program.xs[f"of_{output.name}"], program.ys[output.name]
            x[...] = generator.integers(-3, 4, x.shape) / 2
            y[...] = output.loss.random_labels(generator, rows, output.shape)
            seen[output.name][0].extend(x.tolist())
            seen[output.name][1].extend(y.tolist())
        whole.add(program, vector)
    values = whole.finish()
    expected = {
        f"{name}_{name_of(kind, loss, units)}": TWINS[kind](*seen[name], loss)
        for name, (loss, units) in OUTPUTS.items()
        for kind, metric in METRICS.items()
        if loss in metric.losses and (kind not in RANKING or loss in ONE_OUTPUT)
    }
    assert values.keys() == expected.keys() | set(network.metric_names)
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("kind", "loss"), CASES)
def test_nothing_of_batch_size_is_allocated(make_network, kind, loss):
    """Arrays of a batch have at least 200,000 bytes; NumPy allocates at most 64 KB to convert types."""
    network, rows = network_with(make_network, kind, loss, units_of(kind, loss)), 50_000
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
    assert values["macro_recall"] == 1 / 2  # of the two classes that occur; the third is not predicted either
    assert values["top_5"] == 1
    assert values["accuracy"] == 0.5


def test_outputs_that_are_not_numbers_are_counted(make_network):
    network = make_network([{"dense": {"units": 1}}], "binary_cross_entropy", metrics=["auc", "f1"])
    program = Program(network, 3)
    program.x[...] = np.nan
    sums = program.forward(network.bind(np.ones(network.layout.size, np.float32)))
    assert math.isnan(sums[0])
    assert np.isfinite(sums[1:]).all()


def test_metrics_of_the_loss_are_computed_once(make_network):
    network = make_network([{"dense": {"units": 3}}], "huber", metrics=["mean_absolute_error"])
    assert network.sums == 2
    assert network.finish([4.0, 2.0, 6.0]) == {"loss": 0.5, "mean_absolute_error": 1.5}


@pytest.mark.parametrize(("kind", "loss"), [("auc", "kl_divergence"), ("r2", "hinge"), ("accuracy", "huber")])
def test_a_metric_that_does_not_go_with_the_loss_is_refused(make_network, kind, loss):
    with pytest.raises(InvalidSpec) as caught:
        make_network([{"dense": {"units": 1}}], loss, metrics=[kind])
    (error,) = caught.value.errors
    assert error.path == f"network.metrics[0].{kind}"
    assert error.message.startswith(f"{kind} goes with ")
    assert error.message.endswith(f"not with {loss}")


def test_an_unsuitable_metric_of_a_named_output_is_refused_with_its_path():
    network = outputs_with_metrics().spec.canonical()
    network["outputs"][1]["metrics"].insert(1, {"r2": {}})
    with pytest.raises(InvalidSpec) as caught:
        build(Network.model_validate(network), {f"of_{name}": (units,) for name, (_, units) in OUTPUTS.items()})
    (error,) = caught.value.errors
    assert error.path == "network.outputs[1].metrics[1].r2"
    assert error.message == f"r2 goes with {', '.join(sorted(METRICS['r2'].losses))}, not with softmax_cross_entropy"


def test_a_repeated_metric_is_refused(make_network):
    with pytest.raises(ValueError, match="top_5 is there twice"):
        make_network([{"dense": {"units": 3}}], metrics=["top_k", {"top_k": {"k": 5}}])


@pytest.mark.parametrize("kind", ["precision", "recall", "f1"])
def test_a_perfect_classifier_has_1_though_a_class_is_absent(make_network, kind):
    network = network_with(make_network, kind, "softmax_cross_entropy", 3)
    program = Program(network, 4)
    program.x[...], program.y[...] = np.eye(3)[[0, 2, 2, 0]], [0, 2, 2, 0]
    values = network.finish([4, *program.forward(network.bind(np.eye(3, dtype=np.float32).reshape(-1)))])
    assert values[f"macro_{kind}"] == 1


def averages(predicted, true, classes, average="macro"):
    """Return precision, recall and F1 of predictions of `classes` classes."""
    settings = spec.Averaged.model_validate({"average": average})
    hits, p, t = np.zeros((3, classes))
    np.add.at(hits, [k for k, j in zip(predicted, true, strict=True) if k == j], 1)
    np.add.at(p, predicted, 1)
    np.add.at(t, true, 1)
    return tuple(
        METRICS[kind].finish(np.concatenate([hits, p, t]), len(true), settings)
        for kind in ("precision", "recall", "f1")
    )


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        ([0, 1, 1, 3], [0, 1, 2, 1], (0.375, 0.375, 0.375)),
        ([0, 0, 0, 0], [0, 1, 2, 0], (1 / 6, 1 / 3, 2 / 9)),
        ([4, 4, 1, 0], [4, 4, 1, 1], (2 / 3, 1 / 2, 5 / 9)),
    ],
)
def test_macro_averages_are_those_of_scikit_learn(predicted, true, expected):
    """precision_recall_fscore_support(true, predicted, average="macro", zero_division=0), scikit-learn 1.9."""
    assert averages(predicted, true, 5) == pytest.approx(expected)


AVERAGES = json.loads((Path(__file__).parent / "peers" / "scikit_figures.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", AVERAGES["averages"], ids=lambda case: case["average"])
def test_averages_are_those_of_scikit_learn(case):
    values = averages(case["predicted"], case["true"], 6, case["average"])
    assert values == pytest.approx(case["values"], rel=1e-12)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_averages_over_labels_that_do_not_exclude_each_other(make_network, average):
    """Three labels with 2, 1 and 0 rows; hits 1, 1 and 0; predicted 1, 2 and 0."""
    choices = [{kind: {"average": average}} for kind in ("precision", "recall")]
    network = make_network([{"dense": {"units": 3, "use_bias": False}}], "hinge", (3,), metrics=choices)
    program = Program(network, 3)
    program.x[...], program.y[...] = [[1, 1, -1], [-1, 1, -1], [-1, -1, -1]], [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    values = network.finish([3, *program.forward(network.bind(np.eye(3, dtype=np.float32).reshape(-1)))])
    expected = {"macro": (3 / 4, 3 / 4), "micro": (2 / 3, 2 / 3), "weighted": (5 / 6, 2 / 3)}[average]
    assert (values[f"{average}_precision"], values[f"{average}_recall"]) == pytest.approx(expected)


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.5], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_top_k_counts_samples_by_their_weights(make_network, weights, shape):
    choices = [{"top_k": {"k": 1, "weighted": True}}, {"top_k": {"k": 1}}]
    network = make_network([{"dense": {"units": 3, "use_bias": False}}], input_shape=shape, metrics=choices)
    program = Program(network, 3, weighted=weights is not None)
    program.x[...] = np.random.default_rng(1).standard_normal((3, *shape))
    program.y[...] = 1
    if weights:
        program.sample_weights[:] = weights
    values = network.finish([3, *program.forward(network.bind(np.eye(3, dtype=np.float32).reshape(-1)))])
    hits = (program.x.argmax(axis=-1) == 1).reshape(3, -1).mean(axis=1)
    factors = np.array(weights or [1.0, 1.0, 1.0])
    assert values["top_1"] == values["accuracy"] == pytest.approx(hits.mean())
    assert values["weighted_top_1"] == pytest.approx(hits @ factors / max(factors.sum(), 1e-9))


def auc_of(make_network, outputs, labels, shares=1, kind="auc"):
    """Return the AUC, or another metric of ranks, of these outputs, divided among programs."""
    network = network_with(make_network, kind, "binary_cross_entropy", 1)
    whole = Whole(network)
    for x, t in zip(np.array_split(outputs, shares), np.array_split(labels, shares), strict=True):
        program = Program(network, len(x))
        program.x[:, 0], program.y[:, 0] = x, t
        whole.add(program, np.ones(1, np.float32))
    return whole.finish()[kind]


def midranks(outputs, labels):
    """Return the AUC by the rank sum of Mann and Whitney, with mean ranks for ties; float32 scores."""
    _, places, counts = np.unique(np.asarray(outputs, np.float32), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positive = np.asarray(labels) == 1
    count, others = int(positive.sum()), int((~positive).sum())
    return (ranks[positive].sum() - count * (count + 1) / 2) / (count * others)


def last_bits(rng, rows):
    """Draw scores that differ only in the last bits of float32."""
    return (np.float32(0.3).view(np.int32) + rng.integers(0, 4, rows, np.int32)).view(np.float32)


SCORES = {
    "spread": lambda rng, rows: rng.standard_normal(rows),
    "clustered": lambda rng, rows: -6.3 + 1e-5 * rng.standard_normal(rows),
    "last bits": last_bits,
    "saturated": lambda rng, rows: 40 + rng.standard_normal(rows),  # the sigmoid is 1 for all
    "saturated below": lambda rng, rows: -200 + rng.standard_normal(rows),
    "few values": lambda rng, rows: rng.integers(0, 3, rows).astype(float),
    "zeros of both signs": lambda rng, rows: rng.choice([0.0, -0.0, 1e-45], rows),
}


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("positives", [1, 3, 2_000, 3_999])
def test_auc_is_exact_for_any_imbalance_and_any_scores(make_network, scores, positives):
    rng = np.random.default_rng(positives)
    outputs, labels = SCORES[scores](rng, 4_000).astype(np.float32), np.zeros(4_000)
    labels[rng.choice(4_000, positives, replace=False)] = 1
    exact = midranks(outputs, labels)
    for shares in (1, 7):
        assert auc_of(make_network, outputs, labels, shares) == pytest.approx(exact, abs=1e-12)


def test_auc_is_that_of_scikit_learn(make_network):
    """roc_auc_score(labels, outputs), scikit-learn 1.9; 15 positives in 30,000, scores in a cluster with ties."""
    rng = np.random.default_rng(11)
    labels = np.zeros(30_000)
    labels[::2_000] = 1
    outputs = np.round(rng.standard_normal(30_000) + labels, 2).astype(np.float32) / np.float32(4_096) - 6
    assert auc_of(make_network, outputs, labels, 3) == pytest.approx(AUC_REFERENCE, abs=1e-12)


AUC_REFERENCE = 0.7563003724084265


@pytest.mark.parametrize("case", AVERAGES["precisions"], ids=lambda case: f"{case['positives']} of {case['rows']}")
def test_average_precision_is_that_of_scikit_learn(make_network, case):
    rng, rows = np.random.default_rng(5), case["rows"]
    labels = np.zeros(rows)
    labels[: case["positives"]] = 1
    outputs = np.round(rng.standard_normal(rows) + labels, 2).astype(np.float32)
    value = auc_of(make_network, outputs, labels, 3, "average_precision")
    assert value == pytest.approx(case["value"], rel=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1e6, -3e9])
def test_r2_keeps_its_digits_where_labels_are_far_from_0(make_network, mean):
    network = network_with(make_network, "r2", "mean_squared_error", 1)
    rng, whole = np.random.default_rng(2), Whole(network)
    labels = (mean + max(1.0, abs(mean) * 1e-6) * rng.standard_normal(3_000)).astype(np.float32)
    outputs = (labels + max(0.5, abs(mean) * 5e-7) * rng.standard_normal(3_000)).astype(np.float32)
    for x, t in zip(np.array_split(outputs, 5), np.array_split(labels, 5), strict=True):
        program = Program(network, len(x))
        program.x[:, 0], program.y[:, 0], program.centers[network.output.name][:] = x, t, labels.mean(dtype=float)
        whole.add(program, np.ones(1, np.float32))
    x, t = outputs.astype(float), labels.astype(float)
    assert whole.finish()["r2"] == pytest.approx(1 - np.sum((x - t) ** 2) / np.sum((t - t.mean()) ** 2), rel=1e-10)
