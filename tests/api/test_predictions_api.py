"""Predict and GetModel: types of tensors, parts of outputs, and the client against the service itself."""

import numpy as np
import pytest

from raydient.client import Client, RequestRefused
from raydient.client import predicting as client_side
from raydient.server.jobs import predictor as server_side
from raydient.spec.columns import DateForm
from raydient.v1 import model_service_pb2 as pb
from raydient.workers.network import Dates, Imputation, Kind, Model, Preprocessing, Scaling, Target, build, save_model

from .models import network


@pytest.fixture
def job(client, runner):
    """Returns a function that makes a job that succeeded with this model, and returns its name."""

    def job(model):
        name = client.create().name
        run = runner.next()
        run.begin()
        run.request.directory.mkdir(exist_ok=True)
        save_model(run.request.directory / "model.safetensors", model)
        run.succeed(model.digest)
        return name

    return job


def identity(*kinds, **options):
    """A model whose outputs are its inputs, the columns c0, c1, ... of one input."""
    size = len(kinds)
    columns = tuple(f"c{place}" for place in range(size))
    specification = network("mean_squared_error", size)
    weights = np.zeros(build(specification, (size,)).layout.size, np.float32)
    weights[: size * size] = np.eye(size, dtype=np.float32).ravel()
    preprocessing = Preprocessing((size,), columns, True, kind=kinds[0], **options)
    return Model.plain(specification, preprocessing, weights, Target("y"))


def ask(client, name, tensor, **fields):
    return client.models.Predict(pb.PredictRequest(name=name, arrays={"input": tensor}, **fields)).predictions[
        "dense_1"
    ]


def test_get_model_describes_inputs_and_outputs(client, trained):
    name, model = trained(classes=("cat", "dog", "owl"))
    description = client.models.GetModel(pb.GetModelRequest(name=name))
    assert description == pb.Model(
        name=name,
        digest=model.digest,
        inputs=[pb.ModelInput(name="input", shape=[2], columns=["a", "b"], is_table=True)],
        outputs=[pb.ModelOutput(name="dense_1", label="y", shape=[3])],
    )


@pytest.mark.parametrize(
    ("tensor", "outputs"),
    [
        (pb.Tensor(shape=[2, 1], values=[1, 2.5]), [1, 2.5]),
        (pb.Tensor(shape=[2, 1], doubles=[1, 2.5]), [1, 2.5]),
        (pb.Tensor(shape=[2], integers=[1, -(2**62)]), [1, -(2.0**62)]),
        (pb.Tensor(shape=[2], booleans=[True, False]), [1, 0]),
        (pb.Tensor(shape=[2], texts=["1", " 2.5 "]), [1, 2.5]),
    ],
)
def test_numbers_of_every_type(client, job, tensor, outputs):
    assert ask(client, job(identity(Kind.NUMBER)), tensor).outputs.values == outputs


def test_numbers_are_float64_up_to_the_end_of_standardization(client, job):
    scaling = Scaling(np.array([2.0**53]), np.array([2.0]))
    name = job(identity(Kind.INTEGER, transforms=(scaling,)))
    for tensor in (
        pb.Tensor(shape=[1], integers=[2**53 + 2]),
        pb.Tensor(shape=[1], doubles=[2.0**53 + 2]),
        pb.Tensor(shape=[1], texts=["9007199254740994"]),
    ):
        assert ask(client, name, tensor).outputs.values == [1]


def imputing():
    """A model of two columns, of which the first has 7 in place of missing values."""
    first = Imputation(np.array([0]), np.array([7.0]), np.zeros(0, np.int64))
    return identity(Kind.NUMBER, Kind.NUMBER, transforms=(first,))


def test_missing_values_that_the_job_imputes(client, job):
    name = job(imputing())
    (input_,) = client.models.GetModel(pb.GetModelRequest(name=name)).inputs
    assert input_.optional_columns == ["c0"]
    for tensor in (
        pb.Tensor(shape=[2, 2], doubles=[float("nan"), 1, 2, 3]),
        pb.Tensor(shape=[2, 2], texts=[" NA", "1", "2", "3"]),
    ):
        assert ask(client, name, tensor).outputs.values == [7, 1, 2, 3]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (pb.Tensor(shape=[2, 2], doubles=[1, 2, 3, float("nan")]), "nan is not a finite number"),
        (pb.Tensor(shape=[2, 2], doubles=[1, 2, float("inf"), 3]), "inf is not a finite number"),
        (pb.Tensor(shape=[2, 2], texts=["1", "2", "3", ""]), "'' is not a number"),
    ],
)
def test_missing_values_that_the_job_does_not_impute(client, job, refused, tensor, message):
    request = pb.PredictRequest(name=job(imputing()), arrays={"input": tensor})
    error = refused(client.models.Predict, request)
    assert error.violations == [("arrays.input[1]", message)]


def test_dates_are_texts_or_seconds(client, job, refused):
    name = job(identity(Kind.NUMBER, Kind.NUMBER, transforms=(Dates.of({1: DateForm(days_since="2000-01-01")}),)))
    (input_,) = client.models.GetModel(pb.GetModelRequest(name=name)).inputs
    assert input_.date_columns == ["c1"]
    days = pb.Tensor(shape=[2], texts=["2000-01-02", "1999-12-31T12:00Z"])
    seconds = pb.Tensor(shape=[2], doubles=[86_400 * 10_958, 86_400 * 10_956.5])
    numbers = pb.Tensor(shape=[2], doubles=[7, 8])
    for dates in (days, seconds):
        request = pb.PredictRequest(name=name, arrays={"c0": numbers, "c1": dates})
        assert client.models.Predict(request).predictions["dense_1"].outputs.values == [7, 1, 8, -0.5]
    assert ask(client, name, pb.Tensor(shape=[1, 2], texts=["7", "2000-01-02"])).outputs.values == [7, 1]
    request = pb.PredictRequest(name=name, arrays={"input": pb.Tensor(shape=[1, 2], texts=["7", "20000102"])})
    violations = refused(client.models.Predict, request).violations
    assert violations == [("arrays.input[0]", "'20000102' is not a date such as 2026-11-30 or 2026-11-30T08:30")]


@pytest.mark.parametrize(
    ("tensor", "field", "message"),
    [
        (pb.Tensor(shape=[1], values=[1], doubles=[1]), "arrays.input", "values and doubles are set: exactly one"),
        (pb.Tensor(shape=[1], integers=[1], texts=["1"]), "arrays.input", "integers and texts are set"),
        (pb.Tensor(shape=[1]), "arrays.input.shape", "[1] does not fit the 0 values in the request"),
        (pb.Tensor(shape=[1] * 65, values=[1]), "arrays.input.shape", "65 axes are too many: at most 64"),
        (pb.Tensor(shape=[2, 2], values=[1] * 4), "arrays.input.shape", "a sample has shape [2] instead of [1]"),
        (pb.Tensor(shape=[2], values=[1, float("inf")]), "arrays.input[1]", "inf is not a finite number"),
        (pb.Tensor(shape=[2], doubles=[1, 1e300]), "arrays.input[1]", "1e+300 in column c0 is too large for float32"),
        (pb.Tensor(shape=[2], texts=["1", "x"]), "arrays.input[1]", "'x' is not a number"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(client, job, refused, tensor, field, message):
    request = pb.PredictRequest(name=job(identity(Kind.NUMBER)), arrays={"input": tensor})
    error = refused(client.models.Predict, request)
    assert (error.reason, error.fields) == ("INVALID_INPUTS", [field])
    assert message in error.violations[0][1]


def test_columns_of_several_types_are_categories_by_their_own_texts(client, job):
    """Stacked as float64, both identities would be the same number."""
    identities = (str(2**53), str(2**53 + 1), "0.5")
    name = job(identity(Kind.INTEGER, Kind.INTEGER, vocabulary=identities))
    arrays = {
        "c0": pb.Tensor(shape=[2], integers=[2**53, 2**53 + 1]),
        "c1": pb.Tensor(shape=[2], doubles=[0.5, 0.5]),
    }
    prediction = client.models.Predict(pb.PredictRequest(name=name, arrays=arrays)).predictions["dense_1"]
    assert prediction.outputs.values == [0, 2, 1, 2]


def test_parts_of_outputs(client, job, refused):
    name = job(identity(*[Kind.NUMBER] * 3))
    rows = pb.Tensor(shape=[2, 3], values=range(6))
    for start, count, shape, values in (
        (0, 2, [2, 2], [0, 1, 3, 4]),
        (2, 2, [2, 1], [2, 5]),
        (3, 2, [2, 0], []),
        (0, 0, [2, 3], [0, 1, 2, 3, 4, 5]),
    ):
        outputs = ask(client, name, rows, output_start=start, output_count=count).outputs
        assert (outputs.shape, outputs.values) == (shape, values)
    for wrong, field in (
        ({"output_start": -1}, "output_start"),
        ({"output_count": -1}, "output_count"),
        ({"output_start": 1}, "output_count"),
    ):
        error = refused(client.models.Predict, pb.PredictRequest(name=name, arrays={"input": rows}, **wrong))
        assert error.fields == [field]


def test_outputs_of_a_sample_that_exceed_a_message(client, trained, refused, monkeypatch):
    """The joined prediction equals that of the whole output, whatever part a message can hold."""
    monkeypatch.setattr(server_side, "BYTES_MOST", 100)
    monkeypatch.setattr(client_side, "OUTPUT_BYTES", 80)
    name, model = trained(units=50)
    error = refused(
        client.models.Predict, pb.PredictRequest(name=name, inputs=pb.Tensor(shape=[1, 2], values=[0.5, -0.25]))
    )
    assert "the outputs of 1 sample are too many for a message: request parts" in error.violations[0][1]
    samples = np.array([[0.5, -0.25], [-1, 2], [3, 0.125]])
    prediction = Client("in this process", channel=client.channel).get(name).predict(samples)
    np.testing.assert_array_equal(prediction.outputs, model.predict(samples))
    assert prediction.classes.tolist() == model.predict(samples).argmax(axis=1).tolist()


def test_the_client_splits_large_predictions_into_calls(client, trained):
    """Inputs and outputs of far more than 4 MiB."""
    name, model = trained(units=500)
    samples = np.random.default_rng(1).standard_normal((6_000, 2))
    prediction = Client("in this process", channel=client.channel).get(name).predict(samples)
    np.testing.assert_array_equal(prediction.outputs, model.predict(samples))


def test_an_invalid_sample_is_reported_by_its_number_among_all(client, job, monkeypatch):
    monkeypatch.setattr(client_side, "INPUT_BYTES", 100)
    name = job(identity(Kind.TEXT, vocabulary=("a", "b")))
    user = Client("in this process", channel=client.channel).get(name)
    with pytest.raises(RequestRefused, match="input: row 73: 'c' is none of the 2 categories in column c0"):
        user.predict({"c0": ["a", "b"] * 36 + ["c", "a"]})


def test_columns_of_different_lengths_are_refused(client, job, refused):
    name = job(identity(Kind.NUMBER, Kind.NUMBER))
    arrays = {"c0": pb.Tensor(shape=[3], values=[1, 2, 3]), "c1": pb.Tensor(shape=[2], values=[1, 2])}
    error = refused(client.models.Predict, pb.PredictRequest(name=name, arrays=arrays))
    assert error.violations == [("arrays", "columns of input differ in length: c0 has 3, c1 has 2")]
