"""Samples of every Python form are selected by name, and sent with their types in calls that fit."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raydient.client import Client, Dialect, Prediction, RequestRefused
from raydient.client.columns import own_type
from raydient.v1.model_service_pb2 import Model, ModelInput, ModelOutput, PredictRequest, PredictResponse, Tensor
from raydient.v1.model_service_pb2 import Prediction as OutputPrediction

TWO = Model(
    inputs=[ModelInput(name="input", shape=[2], columns=["a", "b"], is_table=True)],
    outputs=[ModelOutput(name="dense_1", label="y", shape=[2])],
)
NAMED = Model(
    inputs=[
        ModelInput(name="town", shape=[1], columns=["place"], is_table=True, has_categories=True),
        ModelInput(name="size", shape=[2], columns=["width", "height"], is_table=True),
    ],
    outputs=[ModelOutput(name="kind", label="k", shape=[1]), ModelOutput(name="price", label="p", shape=[2])],
)
ROWS = [[1.0, 2.0], [3.0, 4.0], [0.5, 0.25]]


def values_of(tensor: Tensor) -> list:
    """The values of a tensor, from the field that holds them."""
    fields = ("values", "doubles", "integers", "booleans", "texts")
    (values,) = [list(getattr(tensor, field)) for field in fields if len(getattr(tensor, field))]
    return values


def twice(request: PredictRequest) -> PredictResponse:
    """Returns twice its inputs."""
    samples = request.arrays["input"]
    values = np.array(values_of(samples), float).reshape(samples.shape)
    output = OutputPrediction(
        outputs=Tensor(shape=values.shape, values=2 * values.ravel()),
        classes=values.argmax(axis=1),
        class_names=["no", "yes"],
    )
    return PredictResponse(predictions={"dense_1": output})


@pytest.fixture
def job(client: Client, service):
    """A job with a model of the columns a and b."""
    service.add_job().spec.dataset.label = "y"
    service.described.CopyFrom(TWO)
    service.predict = twice
    return client.get("one")


@dataclass
class Frame:
    """A minimal DataFrame."""

    table: dict

    @property
    def columns(self):
        return list(self.table)

    def __getitem__(self, name):
        return self.table[name]


TABLE = {"b": [2.0, 4.0, 0.25], "a": [1.0, 3.0, 0.5]}
RECORDS = np.array([(b, a) for a, b in ROWS], [("b", "f8"), ("a", "f4")])


@pytest.mark.parametrize(
    "samples",
    [
        ROWS,
        np.array(ROWS),
        np.array(ROWS, np.float32),
        np.array(ROWS).astype(str),
        TABLE,
        {name: np.array(values) for name, values in TABLE.items()},
        {name: np.array(values)[:, np.newaxis] for name, values in TABLE.items()},
        {name: [str(value) for value in values] for name, values in TABLE.items()},
        pd.DataFrame(TABLE),
        pd.DataFrame(TABLE).astype("Float64"),
        pd.DataFrame(TABLE).assign(y=1),
        pd.DataFrame(TABLE, index=[7, 7, 9]),
        pa.table(TABLE),
        RECORDS,
        Frame(TABLE),
        [{"b": b, "a": a} for a, b in ROWS],
        [row for _, row in pd.DataFrame(TABLE).iterrows()],
    ],
    ids=lambda samples: type(samples).__name__,
)
def test_columns_are_selected_by_name_in_every_form(job, samples) -> None:
    prediction = job.predict(samples)
    assert prediction.outputs.dtype == np.float32
    assert prediction.outputs.tolist() == (2 * np.array(ROWS)).tolist()
    assert prediction.classes.tolist() == [1, 1, 0]
    assert prediction.class_names == ("no", "yes")


def test_names_beside_an_array(job) -> None:
    table = [[9.0, b, 0.0, a] for a, b in ROWS]
    assert job.predict(table, ["y", "b", "other", "a"]).outputs.tolist() == (2 * np.array(ROWS)).tolist()
    for columns, message in (
        (["a"], r"1 names of columns for inputs of shape \(3, 2\)"),
        ("one", r"1 names of columns for inputs of shape \(3, 2\)"),
        (["a", "a"], "more than one column named 'a'"),
        (["a", "c"], "missing: b; unknown: c"),
    ):
        with pytest.raises(ValueError, match=message):
            job.predict(ROWS, columns)
    with pytest.raises(ValueError, match="leave `columns` out"):
        job.predict(TABLE, ["a", "b"])


def test_a_series_is_a_sample_or_a_column(client: Client, job, service) -> None:
    frame = pd.DataFrame(TABLE)
    assert job.predict(frame.iloc[1]).outputs.tolist() == [[6, 8]]
    mixed = pd.Series({"a": 1, "b": 2.5, "y": "no"})
    assert job.predict(mixed).outputs.tolist() == [[2, 5]]
    service.described.inputs[0].CopyFrom(ModelInput(name="input", shape=[1], columns=["b"], is_table=True))
    service.described.outputs[0].shape[:] = [1]
    assert client.get(job.name).predict(frame["b"]).outputs.tolist() == [[4], [8], [0.5]]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (pd.DataFrame(TABLE).rename(columns={"a": "aa"}), "missing: a; unknown: aa; did you mean 'a' by 'aa'?"),
        (pd.DataFrame(TABLE).assign(c=1, d=2), "unknown: c, d; leave out what the network was not trained on"),
        (pd.DataFrame(TABLE)[["a"]], "missing: b"),
        (pd.DataFrame(ROWS), "missing: a, b; unknown: 0, 1; give the columns their names, or pass .* order: a, b"),
        (pd.DataFrame(ROWS, columns=["a", "a"]), "more than one column named 'a'"),
        ([{"a": 1, "b": 2}, {"a": 1, "c": 2}], "row 2 has other names than row 1; missing: b; unknown: c"),
        ({"input": pd.DataFrame(ROWS, columns=["a", "c"])}, "input: the columns do not fit .*missing: b; unknown: c"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "a has 1, b has 2"),
        ({"a": [1.0, None], "b": [1.0, 2.0]}, "a, row 2: there is no value"),
        ({"a": [1.0, float("nan")], "b": [1.0, 2.0]}, "a, row 2: there is no value"),
        ({"a": np.array([1.0, np.inf]), "b": [1.0, 2.0]}, "a, row 2: inf is not a finite number"),
        (pd.DataFrame({"a": [1, None], "b": [1, 2]}, dtype="Int64"), "a, row 2: there is no value"),
        ({"a": ["1", "x"], "b": [1.0, 2.0]}, "a, row 2: 'x' is not a number"),
        ({"a": ["1", ""], "b": [1.0, 2.0]}, "a, row 2: there is no value"),
        ({"a": [1.0, 1j], "b": [1.0, 2.0]}, "a, row 2: 1j is neither a number nor a text"),
        ({"a": np.array(["2026-01-01"], "M8[D]"), "b": [1.0]}, "a: its values are datetime64"),
        ({"a": np.ones((1, 2)), "b": [1.0]}, "a: a column has one value a row"),
        ({"a": ["\udcff"], "b": [1.0]}, "a, row 1: the text is not UTF-8"),
        ([], "at least one sample"),
        ([1.0, 2.0], "at least one sample"),
        (np.zeros((0, 2)), "there are no samples"),
        (pd.DataFrame(TABLE)[:0], "there are no samples"),
        (np.zeros((3, 3)), r"sample of shape \(2,\) is needed, one a row, not \(3, 3\)"),
    ],
)
def test_samples_that_do_not_fit_are_refused(job, service, samples, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        job.predict(samples)
    assert "Predict" not in service.calls


def test_further_columns_are_accepted_if_the_job_names_its_features(client: Client, service) -> None:
    service.add_job().spec.dataset.features[:] = ["a", "b"]
    service.described.CopyFrom(TWO)
    service.predict = twice
    prediction = client.get("one").predict(pd.DataFrame(TABLE).assign(identity=7))
    assert prediction.outputs.tolist() == (2 * np.array(ROWS)).tolist()


def test_a_table_for_a_network_that_was_trained_on_an_array(client: Client, service) -> None:
    service.add_job()
    service.described.CopyFrom(TWO)
    service.described.inputs[0].CopyFrom(ModelInput(name="input", shape=[2], columns=["x"]))
    service.predict = twice
    with pytest.raises(ValueError, match="was an array without names of columns: pass an array"):
        client.get("one").predict(pd.DataFrame(TABLE))
    assert client.get("one").predict({"x": np.array(ROWS)}).outputs.tolist() == (2 * np.array(ROWS)).tolist()


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([2**53 + 1, 1], "int64", [2**53 + 1, 1]),
        ([-(2**63), 2**63 - 1], "int64", [-(2**63), 2**63 - 1]),
        ([2**63], "object", ["9223372036854775808"]),
        (np.array([2**64 - 1, 1], np.uint64), "object", ["18446744073709551615", "1"]),
        (np.array([2**63 - 1], np.uint64), "int64", [2**63 - 1]),
        (np.array([2**53 + 1]), "int64", [2**53 + 1]),
        (np.array([255], np.uint8), "float32", [255]),
        ([1, 0.5], "float64", [1.0, 0.5]),
        ([2**53 + 1, 0.5], "object", ["9007199254740993", "0.5"]),
        (np.array([0.1]), "float64", [0.1]),
        (np.array([0.1], np.longdouble), "float64", [0.1]),
        (np.array([0.5], np.float16), "float32", [0.5]),
        ([True, False], "bool", [True, False]),
        (np.array([True]), "bool", [True]),
        ([True, "x", 42.0], "object", ["True", "x", "42"]),
        (["a", "b"], "object", ["a", "b"]),
        (np.array(["a", "b"]), "object", ["a", "b"]),
        (pd.Series([1, 2], dtype="Int64"), "int64", [1, 2]),
        (pd.Series(["a", "b"], dtype="category"), "object", ["a", "b"]),
        (pa.chunked_array([[1, 2**60 + 1]]), "int64", [1, 2**60 + 1]),
    ],
)
def test_values_keep_their_type(values, dtype: str, expected: list) -> None:
    array = own_type("x", values)
    assert (array.dtype, array.tolist()) == (dtype, expected)


def named_answer(request: PredictRequest) -> PredictResponse:
    towns, sizes = request.arrays["town"], request.arrays["size"]
    kind = OutputPrediction(
        outputs=Tensor(shape=[len(towns.texts), 1], values=map(len, towns.texts)), classes=[0] * len(towns.texts)
    )
    price = OutputPrediction(outputs=Tensor(shape=sizes.shape, values=values_of(sizes)))
    return PredictResponse(predictions={"price": price, "kind": kind})


@pytest.fixture
def several(client: Client, service):
    """A job with a model of several inputs and outputs."""
    service.add_job()
    service.described.CopyFrom(NAMED)
    service.predict = named_answer
    return client.get("one")


TOWNS = ["Ulm", "Bonn", "Kiel", "Köln", "Au"]
SIZES = np.arange(10.0).reshape(5, 2)


def test_several_inputs_by_their_names_or_by_columns(several, service) -> None:
    frame = pd.DataFrame({"height": SIZES[:, 1], "place": TOWNS, "width": SIZES[:, 0], "other": 1})
    for samples in ({"size": SIZES, "town": TOWNS}, {"size": frame[["height", "width"]], "town": TOWNS}, frame):
        predictions = several.predict_all(samples)
        assert list(predictions) == ["kind", "price"]
        np.testing.assert_array_equal(predictions["price"].outputs, SIZES)
        assert predictions["price"].classes is None
        assert predictions["kind"].outputs[:, 0].tolist() == [3, 4, 4, 4, 2]
        assert set(service.requests["Predict"][-1].arrays) == {"town", "size"}, "only what the network takes is sent"
    for wrong, message in (
        ({}, "missing: place, width, height"),
        ({"size": SIZES, "town": TOWNS[:2]}, "samples differ in number: town has 2, size has 5"),
        ({"town": [], "size": np.zeros((0, 2))}, "there are no samples"),
        (SIZES, "samples by name are needed: town, size"),
    ):
        with pytest.raises(ValueError, match=message):
            several.predict_all(wrong)
    with pytest.raises(ValueError, match="several outputs, kind, price: use predict_all"):
        several.predict({"size": SIZES, "town": TOWNS})


def test_calls_are_split_by_the_bytes_of_inputs_and_joined(several, service, monkeypatch) -> None:
    monkeypatch.setattr("raydient.client.predicting.INPUT_BYTES", 40)
    several.predict_all({"size": SIZES, "town": TOWNS})
    # 16 bytes of numbers and a text with 4 bytes around it: 23, 24, 24, 25 and 22 bytes
    assert [r.arrays["size"].shape[0] for r in service.requests["Predict"]] == [1, 1, 1, 1, 1]
    monkeypatch.setattr("raydient.client.predicting.INPUT_BYTES", 48)
    predictions = several.predict_all({"size": SIZES, "town": TOWNS})
    assert [r.arrays["size"].shape[0] for r in service.requests["Predict"]][5:] == [2, 1, 2]
    np.testing.assert_array_equal(predictions["price"].outputs, SIZES)
    assert predictions["kind"].outputs[:, 0].tolist() == [3, 4, 4, 4, 2]


def test_calls_are_split_by_the_bytes_of_outputs(several, service, monkeypatch) -> None:
    monkeypatch.setattr("raydient.client.predicting.OUTPUT_BYTES", 50)  # a sample has 3 numbers and at most 2 classes
    several.predict_all({"size": SIZES, "town": TOWNS})
    assert [r.arrays["size"].shape[0] for r in service.requests["Predict"]] == [2, 2, 1]


def test_large_outputs_of_one_sample_are_fetched_in_parts(job, service, monkeypatch) -> None:
    def part(request: PredictRequest) -> PredictResponse:
        whole = np.array(request.arrays["input"].values or request.arrays["input"].doubles, np.float32)
        assert len(whole) == 2
        values = whole[request.output_start : request.output_start + request.output_count]
        assert len(values) == 1
        output = OutputPrediction(outputs=Tensor(shape=[1, len(values)], values=values), classes=[1])
        return PredictResponse(predictions={"dense_1": output})

    service.predict = part
    monkeypatch.setattr("raydient.client.predicting.OUTPUT_BYTES", 4)
    prediction = job.predict(ROWS)
    assert prediction.outputs.tolist() == ROWS
    assert prediction.classes.tolist() == [1, 1, 1]
    assert [(r.output_start, r.output_count) for r in service.requests["Predict"]] == [(0, 1), (1, 1)] * 3


def test_a_sample_too_large_for_a_message_is_not_sent(job, service, monkeypatch) -> None:
    monkeypatch.setattr("raydient.client.predicting.MESSAGE_BYTES", 15)
    with pytest.raises(ValueError, match="a sample of 16 bytes is too large for a message, which holds 15: download"):
        job.predict(ROWS)
    assert "Predict" not in service.calls


def test_errors_of_the_server_name_the_row_among_all(several, service, monkeypatch) -> None:
    import grpc

    monkeypatch.setattr("raydient.client.predicting.INPUT_BYTES", 30)
    answers = iter(range(5))

    def answer(request: PredictRequest) -> PredictResponse:
        if next(answers) == 1:
            service.fail("Predict", grpc.StatusCode.INVALID_ARGUMENT, **{"arrays__town[0]": "'Kiel' is no category"})
        return named_answer(request)

    service.predict = answer
    with pytest.raises(RequestRefused, match="town: row 3: 'Kiel' is no category") as refused:
        several.predict_all({"size": SIZES, "town": TOWNS})
    (violation,) = refused.value.violations
    assert (violation.path, violation.message) == ("town", "row 3: 'Kiel' is no category")


def test_the_description_of_a_network_is_fetched_once(job, service) -> None:
    job.predict(ROWS)
    job.predict(ROWS)
    job.predict(ROWS, checkpoint=7)
    assert [request.name for request in service.requests["GetModel"]] == ["jobs/one", "jobs/one/checkpoints/7"]
    assert [request.name for request in service.requests["Predict"]] == ["jobs/one"] * 2 + ["jobs/one/checkpoints/7"]


@pytest.mark.parametrize(
    ("prediction", "text"),
    [
        (
            Prediction(np.zeros((400, 2), np.float32), np.arange(400, dtype=np.int32) % 2),
            "<Prediction of 400 samples, 2 outputs each: classes 0, 1, 0, 1, 0, ...>",
        ),
        (
            Prediction(np.zeros((1, 2), np.float32), np.array([1], np.int32), ("no", "yes")),
            "<Prediction of 1 sample, 2 outputs: classes 'yes'>",
        ),
        (
            Prediction(np.array([[0.5], [2.0], [1e-9]], np.float32), None),
            "<Prediction of 3 samples, 1 output each: outputs 0.5, 2, 1e-09>",
        ),
        (
            Prediction(np.zeros((2000, 8, 8), np.float32), None),
            "<Prediction of 2,000 samples, 8 x 8 outputs each: outputs 0, 0, 0, 0, 0, ...>",
        ),
    ],
)
def test_the_repr_of_a_prediction_is_one_line(prediction: Prediction, text: str) -> None:
    assert repr(prediction) == text


def test_a_file_is_read_in_its_dialect(job, tmp_path):
    path, dialect = tmp_path / "rows.csv", Dialect(";", ",")
    path.write_text("b;a\n2,0;1,0\n4,0;3,0\n0,25;0,5\n")
    assert job.predict(path, dialect=dialect).outputs.tolist() == (2 * np.array(ROWS)).tolist()
    assert list(job.predict_all(path, dialect=dialect)) == ["dense_1"]
