"""Training, prediction through client and service, the model file and ONNX see the same numbers, to the bit.

The outputs of the network are its inputs, the float32 numbers after preprocessing.
"""

import csv
import io
import re

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from raydient.client import Client
from raydient.client import load_model as load_local_model
from raydient.client.samples import read_samples
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.spec.values import category_text
from raydient.v1 import model_service_pb2 as pb
from raydient.workers.data import load
from raydient.workers.network import Kind, Model, build, load_model, save_model
from raydient.workers.network.onnx_export import write_onnx

from .models import WEIGHTS, make_checkpoint

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
AROUND = st.sampled_from([0, 2**24, 2**31, 2**53, 2**60, -(2**24), -(2**53), 1_732_000_000])


@st.composite
def near(draw, numbers):
    """A base, and values close to it: a large mean with a small spread."""
    base = draw(AROUND)
    return numbers.map(lambda value: base + value)


@st.composite
def columns(draw, rows):
    """A column: values of one type, and whether they are categories."""
    kind = draw(st.sampled_from(["float64", "float32", "integer", "unsigned", "small", "boolean", "text"]))
    values = {
        "float64": st.one_of(FLOATS, draw(near(st.floats(-1, 1))), st.sampled_from([1e-300, 1e300, 0.1, 42.0, -0.0])),
        "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "integer": st.one_of(INTEGERS, draw(near(st.integers(-9, 9)))),
        "unsigned": st.integers(0, 2**64 - 1),
        "small": st.integers(-128, 127),
        "boolean": st.booleans(),
        "text": st.sampled_from(["a", "", "NA", "42", "42.0", "007", "True", "ä b", 'q"']),
    }
    dtypes = {"integer": "int64", "unsigned": "uint64", "small": "int8", "boolean": "bool", "text": "str"}
    drawn = draw(st.lists(values[kind], min_size=rows, max_size=rows))
    return np.array(drawn, dtypes.get(kind, kind)), kind == "text" or draw(st.booleans())


@st.composite
def tables(draw):
    """Columns by name, those among them that are categories, and whether the others are standardized."""
    rows = draw(st.integers(1, 6))
    drawn = draw(st.lists(columns(rows), min_size=1, max_size=4))
    table = {f"c{place}": values for place, (values, _) in enumerate(drawn)}
    return table, {name for name, (_, special) in zip(table, drawn, strict=True) if special}, draw(st.booleans())


def write_csv(path, table):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow([*table, "y"])
        for row in zip(*(values.tolist() for values in table.values()), strict=True):
            writer.writerow([*row, 0])


def job_of(path, table, categories, standardize, **settings):
    """A job on the file whose network returns its inputs."""
    names = list(table)
    joined = [{"concatenate": {"name": "all", "inputs": names}}] if len(names) > 1 else []
    dense = {"dense": {"units": len(names), "use_bias": False, "inputs": "all" if joined else names[0]}}
    return validate_job(
        {
            "dataset": {
                "uri": path.name,
                "split": {"test": 0.0},
                "standardize": standardize,
                "inputs": {name: {"columns": [name], "categories": name in categories} for name in names},
                **settings,
            },
            "network": {"layers": [*joined, dense], "loss": "mean_squared_error"},
        }
    )


def learnt(path, table, categories, standardize, **settings):
    """The features as training reads them, (rows, columns), and the model; None if training refuses the data."""
    spec = job_of(path, table, categories, standardize, **settings)
    try:
        data = load(spec.dataset, path, spec.network.named_outputs, 1)
    except InvalidSpec as error:
        if not re.search("too large|too far|too close|has no value", str(error)):
            raise
        return None
    seen = np.concatenate([data.train.xs[name] for name in table], axis=1)
    assert build(spec.network, data.input_shapes).layout.size == len(table) ** 2
    return seen, Model(spec.network, data.inputs, np.eye(len(table), dtype=np.float32).ravel(), data.targets)


def fed_to_onnx(model, table):
    """Samples in the types that the graph takes."""

    def feed(preprocessing, values):
        if preprocessing.vocabulary and preprocessing.kind is Kind.INTEGER and int(values.max()) < 2**63:
            return values.astype(np.int64)
        if preprocessing.vocabulary:
            return np.array([category_text(value) for value in values.tolist()], object)
        return values.astype(np.float64) if preprocessing.transforms else values.astype(np.float64).astype(np.float32)

    return {name: feed(input_, table[name])[:, np.newaxis] for name, input_ in model.inputs.items()}


@pytest.fixture
def check(client, runner, tmp_path, start):
    """Returns a function that compares every way to a prediction with the numbers of training."""
    job = client.create().name
    run = runner.next()
    run.begin()
    steps = iter(range(1, 10_000))
    user = Client("in this process", channel=client.channel)

    def check(path, seen, model, forms, table):
        step = next(steps)
        folder = make_checkpoint(run.request, step, lambda weights: save_model(weights, model))
        predictor = user.get(job).predictor(step)
        for samples in forms:
            (prediction,) = predictor.predict_all(samples).values()
            assert prediction.outputs.dtype == np.float32
            np.testing.assert_array_equal(prediction.outputs, seen)
        (samples,) = read_samples(path)
        (prediction,) = predictor.apply(predictor.arrays(samples.arrays, samples.where)).values()
        np.testing.assert_array_equal(prediction.outputs, seen)
        local = load_local_model(folder / WEIGHTS)
        for samples in (*forms, path):
            (prediction,) = local.predict_all(samples).values()
            assert prediction.outputs.dtype == np.float32
            np.testing.assert_array_equal(prediction.outputs, seen)
        loaded = load_model(folder / WEIGHTS)
        for name, ready in loaded.prepare({n: values[:, np.newaxis] for n, values in table.items()}).items():
            np.testing.assert_array_equal(ready[:, 0], seen[:, list(table).index(name)])
        request = pb.DownloadModelRequest(name=f"{job}/checkpoints/{step}", format=pb.MODEL_FORMAT_ONNX)
        content = b"".join(response.chunk for response in client.models.DownloadModel(request))
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        np.testing.assert_array_equal(session.run(None, fed_to_onnx(loaded, table))[0], seen)

    return check


def test_from_arrays(check, tmp_path):
    @settings(derandomize=True, max_examples=60)
    @given(tables())
    def of(drawn):
        table, categories, standardize = drawn
        categories = {name for name in categories if table[name].dtype.kind != "f"}  # training takes no such arrays
        path = tmp_path / "data.npz"
        np.savez(path, **table, y=np.zeros(len(next(iter(table.values())))))
        seen, model = learnt(path, table, categories, standardize) or reject()
        lists = {name: values.tolist() for name, values in table.items()}
        check(path, seen, model, [table, lists, pd.DataFrame(lists)], table)

    of()


def test_from_a_table(check, tmp_path):
    @settings(derandomize=True, max_examples=60)
    @given(tables())
    def of(drawn):
        table, categories, standardize = drawn
        path = tmp_path / "data.csv"
        write_csv(path, table)
        seen, model = learnt(path, table, categories, standardize) or reject()
        texts = {name: np.array([str(v) for v in values.tolist()], object) for name, values in table.items()}
        of_numbers = {name: texts[name] if name in categories else values for name, values in table.items()}
        check(path, seen, model, [texts, of_numbers], of_numbers)

    of()


def test_a_plain_table_with_a_large_mean(check, client, tmp_path):
    """Case: seconds since 1970, standardized; float32 has steps of 128 seconds there."""
    seconds = 1_732_000_000 + np.arange(200)
    path = tmp_path / "data.csv"
    write_csv(path, {"c0": seconds})
    seen, model = learnt(path, {"c0": seconds}, set(), True)
    assert len(np.unique(seen)) == 200
    check(
        path,
        seen,
        model,
        [{"c0": seconds}, {"c0": seconds.astype(float)}, pd.DataFrame({"c0": seconds})],
        {"c0": seconds},
    )


@pytest.mark.parametrize("standardize", [False, True])
def test_missing_values_are_filled_alike(check, tmp_path, standardize):
    """As NaN, None, a nullable type, and the texts of a file; the second column has all its values."""
    table = {"c0": np.array([2**53, np.nan, 5, np.nan]), "c1": np.array([0.5, 1, 2, 3])}
    path = tmp_path / "data.csv"
    path.write_text(f'c0,c1,y\n{2**53},0.5,0\n,1,0\n5,2,0\n"NA",3,0\n')
    seen, model = learnt(path, table, set(), standardize, impute="median")
    assert np.isfinite(seen).all()
    nones = {"c0": [2**53, None, 5, None], "c1": [0.5, 1, 2, 3]}
    nullable = pd.DataFrame({"c0": pd.array(nones["c0"], "Int64"), "c1": nones["c1"]})
    texts = {"c0": [str(2**53), "", "5", "NA"], "c1": ["0.5", "1", "2", "3"]}
    check(path, seen, model, [table, nones, nullable, pd.DataFrame(table), texts], table)


@pytest.mark.parametrize("written", [np.int64, np.uint32, str])
@pytest.mark.parametrize("read", [np.int64, np.float64, str, object])
def test_a_category_is_the_same_in_every_type(check, tmp_path, written, read):
    """Numbers above 2^24, where float32 has no odd ones: as integers, as numbers with a point, and as texts."""
    identities = np.arange(30_000_000, 30_000_012)
    path = tmp_path / "data.npz"
    np.savez(path, c0=identities.astype(written), y=np.zeros(12))
    seen, model = learnt(path, {"c0": identities}, {"c0"}, False)
    assert seen[:, 0].tolist() == list(range(12))
    check(path, seen, model, [{"c0": identities.astype(read)}], {"c0": identities.astype(written)})
    texts = [f"{identity}.0" for identity in identities]
    check(path, seen, model, [{"c0": texts}], {"c0": identities.astype(written)})


def test_the_input_types_of_the_onnx_graph(tmp_path):
    """Each input has the smallest type that loses nothing."""
    path = tmp_path / "data.npz"
    table = {
        "c0": np.array([2**60 + 1, 5]),
        "c1": np.array([2**64 - 1, 5], np.uint64),
        "c4": np.array(["a", "b"]),
        "c2": np.array([1.0, 2]),
    }
    np.savez(path, **table, y=np.zeros(2))
    types = {}
    for standardize in (False, True):
        _, model = learnt(path, table, {"c0", "c1", "c4"}, standardize)
        file = io.BytesIO()
        write_onnx(model, file)
        session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
        types[standardize] = {input_.name: input_.type for input_ in session.get_inputs()}
    categories = {"c0": "tensor(int64)", **dict.fromkeys(("c1", "c4"), "tensor(string)")}
    assert types == {False: categories | {"c2": "tensor(float)"}, True: categories | {"c2": "tensor(double)"}}
