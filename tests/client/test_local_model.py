"""A model in a file predicts without a service: by name, from tables, arrays and files, with its network's bits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raydient.client import LocalModel, ModelUnreadable, load_model, samples
from raydient.spec.network import Network
from raydient.workers.network import Model, Preprocessing, Scaling, Target, build, save_model

SPECIFICATION = Network.model_validate({"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"})
SCALING = Scaling(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
TABLE = pd.DataFrame({"b": [2.0, 4.0, 0.25], "kind": ["no", "yes", "no"], "a": [1.0, 3.0, 0.5]})


@pytest.fixture
def network() -> Model:
    """A network of the columns a and b, standardized, that tells `no` from `yes`."""
    weights = np.linspace(-1, 1, build(SPECIFICATION, (2,)).layout.size, dtype=np.float32)
    preprocessing = Preprocessing((2,), ("a", "b"), is_table=True, scaling=SCALING)
    return Model.plain(SPECIFICATION, preprocessing, weights, Target("kind", ("no", "yes")))


@pytest.fixture
def path(network: Model, tmp_path: Path) -> Path:
    save_model(tmp_path / "model.safetensors", network)
    return tmp_path / "model.safetensors"


@pytest.fixture
def model(path: Path) -> LocalModel:
    return load_model(path)


@pytest.fixture
def expected(network: Model) -> np.ndarray:
    """The network's own outputs for TABLE."""
    return network.predict(TABLE[["a", "b"]].to_numpy())


def test_columns_are_selected_by_name(model: LocalModel, network: Model, expected: np.ndarray) -> None:
    for table in (TABLE, TABLE[["a", "b"]], TABLE[["b", "a"]], TABLE.to_dict("list"), TABLE.to_dict("records")):
        prediction = model.predict(table)
        np.testing.assert_array_equal(prediction.outputs, expected)
        assert prediction.classes is not None
        assert prediction.classes.tolist() == expected.argmax(axis=1).tolist()
        assert prediction.class_names == ("no", "yes")
    np.testing.assert_array_equal(model.predict(TABLE[["a", "b"]].to_numpy()).outputs, expected)
    np.testing.assert_array_equal(model.predict(TABLE[["b", "a"]].to_numpy(), ["b", "a"]).outputs, expected)
    assert repr(model) == f"<LocalModel of kind from 2 features, digest {network.digest[:12]}>"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.drop(columns="a"), "missing: a"),
        (TABLE.rename(columns={"a": "A"}), "missing: a; unknown: A"),
        (TABLE.assign(c=1), "unknown: c; leave out"),
        (TABLE.set_axis(["a", "kind", "a"], axis=1), "more than one column named 'a'"),
        (np.zeros((3, 3)), r"sample of shape \(2,\) is needed, one a row, not \(3, 3\)"),
        (TABLE.assign(a=[1.0, np.nan, 2.0]), "a, row 2: there is no value"),
        (TABLE.assign(a=[1.0, 2.0, 1e300]), "input: row 3: 1e.300 in column a is too large for float32"),
    ],
)
def test_samples_that_do_not_fit_are_refused(model: LocalModel, table: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.predict(table)


def test_files_are_read_in_parts(
    model: LocalModel, expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "PART_ROWS", 2)
    data = tmp_path / "data.csv"
    TABLE.to_csv(data, index=False)
    assert [len(part["dense_1"].outputs) for part in model.predict_file(data)] == [2, 1]
    prediction = model.predict(str(data))
    np.testing.assert_array_equal(prediction.outputs, expected)
    assert prediction.classes is not None
    assert len(prediction.classes) == 3
    np.savez(tmp_path / "data.npz", b=TABLE["b"], a=TABLE["a"])
    np.testing.assert_array_equal(model.predict(tmp_path / "data.npz").outputs, expected)
    for text, message in (
        ("b,a\n1,2\n\n3,4\n5,x\n", r"data.csv: a, row 3 \(line 5\): 'x' is not a number"),
        ("b,a\n1,2\n3,4\n5\n", "data.csv:4: 1 cells, the header has 2"),
        ("b,a\n", "data.csv: there are no samples"),
        ("b,a,id\n1,2,3\n", "data.csv: .*unknown: id"),
        ("b\n1\n", "data.csv: .*missing: a"),
        ("b,a,a\n1,2,3\n", "data.csv: there is more than one column named 'a'"),
    ):
        data.write_text(text)
        with pytest.raises(ValueError, match=message):
            model.predict(data)
    with pytest.raises(ValueError, match="leave `columns` out"):
        model.predict(data, ["a", "b"])


def test_unusable_files_are_no_models(path: Path) -> None:
    content = path.read_bytes()
    for damaged in (b"", b"onnx", content[:-1], content[:-4] + b"\0\0\0\0"):
        path.write_bytes(damaged)
        with pytest.raises(ModelUnreadable, match=r"model.safetensors .*a model is loaded from its .safetensors file"):
            load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(path.with_name("absent.safetensors"))
