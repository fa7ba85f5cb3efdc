"""Networks built in Python equal those of job files."""

from pathlib import Path

import pytest

from raydient.client import Graph, layer, sequential
from raydient.spec.network import Network
from raydient.spec.reading import read_job_file

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_list_equals_the_job_file_of_the_digits() -> None:
    layers = [layer("dense", units=64, activation="relu"), layer("dense", units=10)]
    built = Network.model_validate(sequential(layers, "softmax_cross_entropy"))
    assert built == read_job_file(EXAMPLES / "digits.yaml").network


def test_a_graph_equals_the_job_file_with_two_inputs() -> None:
    graph = Graph()
    district, kind, numbers = map(graph.input, ("district", "kind", "numbers"))
    where = graph.layer("embedding", district, name="where", input_dim=12, output_dim=4)
    place = graph.layer("flatten", where, name="place")
    what = graph.layer("embedding", kind, name="what", input_dim=4, output_dim=3)
    sort = graph.layer("flatten", what, name="sort")
    flat = graph.layer("concatenate", place, sort, numbers, name="flat")
    hidden = graph.layer("dense", flat, name="hidden", units=48, activation="relu")
    more = graph.layer("dense", hidden, name="more", units=48, activation="relu")
    graph.output(
        graph.layer("dense", more, name="price", units=1),
        label="price",
        loss="mean_squared_error",
        weight=0.001,
        metrics=["r2"],
    )
    graph.output(graph.layer("dense", more, name="band", units=3), label="band", loss="softmax_cross_entropy")
    built = Network.model_validate(graph.network())
    expected = read_job_file(EXAMPLES / "two_inputs.yaml").network
    assert built.outputs == expected.outputs
    for mine, theirs in zip(built.layers, expected.layers, strict=True):
        inputs = theirs.value.inputs or mine.value.inputs  # the file leaves out what the layer before gives
        assert mine.kind == theirs.kind
        assert mine.value == theirs.value.model_copy(update={"inputs": inputs})


def test_layers_without_names_get_them_and_may_be_shared() -> None:
    graph = Graph()
    samples = graph.input()
    encoder = graph.layer("dense", samples, units=4)
    again = graph.layer("shared", graph.layer("dense", samples, units=4), layer=encoder)
    assert [node.name for node in (samples, encoder, again)] == ["input", "dense_1", "shared_1"]
    graph.layer("dense", graph.layer("add", encoder, again), units=1)
    built = Network.model_validate(graph.network(loss={"huber": {"delta": 2.0}}, metrics=["r2"]))
    assert [each.value.name for each in built.layers] == ["dense_1", "dense_2", "shared_1", "add_1", "dense_3"]
    assert built.layers[2].value.layer == "dense_1"
    assert built.named_outputs[0].layer == "dense_3"
    assert [metric.kind for metric in built.metrics] == ["r2"]


def test_a_submitted_network_arrives_as_it_was_built(client, service) -> None:
    network = sequential([layer("dense", units=3)], "sum_squared_error", metrics=["root_mean_squared_error"])
    job = client.submit({"dataset": {"uri": f"datasets/{'0' * 64}"}, "network": network})
    assert job.spec.network == Network.model_validate(network)


def test_an_invalid_graph_is_refused_where_it_is_built() -> None:
    graph, other = Graph(), Graph()
    samples = graph.input()
    first = graph.layer("dense", samples, units=2, name="first")
    several = Graph()
    several.output(several.layer("dense", several.input(), units=1), label="y", loss="mean_squared_error")
    for wrong, message in (
        (lambda: graph.layer("dence", samples), "there is no layer 'dence', there are: dense, flatten"),
        (lambda: layer("dence"), "there is no layer 'dence'"),
        (lambda: graph.layer("dense", units=2), "dense takes nothing"),
        (lambda: graph.layer("flatten", samples, name="first"), "first is there already"),
        (lambda: other.layer("flatten", first), "first is not of this graph"),
        (lambda: other.output(first, label="y", loss="mean_squared_error"), "first is not of this graph"),
        (lambda: several.network(metrics=["r2"]), "each output has its own metrics"),
        (graph.network, "has outputs, each with its loss, or is given"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
