"""A model in a file predicts without a service: by name, from tables, arrays and files, with its network's bits."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raydient.client import Dialect, LocalModel, ModelUnreadable, load_model, samples
from raydient.client.evaluation import Confusion
from raydient.spec.network import Network
from raydient.workers.network import Imputation, Model, Preprocessing, Program, Scaling, Target, build, save_model

SPECIFICATION = Network.model_validate({"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"})
SCALING = Scaling(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
TABLE = pd.DataFrame({"b": [2.0, 4.0, 0.25], "kind": ["no", "yes", "no"], "a": [1.0, 3.0, 0.5]})


@pytest.fixture
def network() -> Model:
    """A network of the columns a and b, standardized, that tells `no` from `yes`."""
    weights = np.linspace(-1, 1, build(SPECIFICATION, (2,)).layout.size, dtype=np.float32)
    preprocessing = Preprocessing((2,), ("a", "b"), is_table=True, transforms=(SCALING,))
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
        (
            TABLE.assign(a=[1.0, 2.0, 1e300]),
            "input: row 3: 1e.300 in column a is too far from the training part.s values for float32",
        ),
    ],
)
def test_samples_that_do_not_fit_are_refused(model: LocalModel, table: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.predict(table)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, np.ma.masked], ids=repr)
def test_missing_values_are_the_same_in_every_form(network: Model, missing: object) -> None:
    imputation = Imputation(np.array([0]), np.array([7.0]), np.zeros(0, np.int64))
    model = LocalModel(replace(network, inputs={"input": replace(network.input, transforms=(imputation, SCALING))}))
    expected = model.predict({"a": [1.0, 7.0], "b": [2.0, 4.0]}).outputs
    rows = [[2.0, 1.0], [4.0, missing]]
    masked = np.ma.masked_array([[2, 1], [4, 9]], mask=[[False, False], [False, True]])
    for table, columns in (
        ({"a": [1.0, missing], "b": [2.0, 4.0]}, ()),
        (pd.DataFrame(rows, columns=["b", "a"], dtype=object), ()),
        (rows, ["b", "a"]),
        ([row[::-1] for row in rows], ()),
        (masked, ["b", "a"]),
        (masked[:, ::-1], ()),
        (list(masked), ["b", "a"]),
        ({"a": masked[:, 1], "b": [2, 4]}, ()),
    ):
        np.testing.assert_array_equal(model.predict(table, columns).outputs, expected)
    for table, columns in (
        ({"a": [1.0, 2.0], "b": [1.0, missing]}, ()),
        (rows, ["a", "b"]),
        (rows, ()),
        (masked.astype(float), ()),
        (np.array([[1, 2], [3, np.nan]]), ()),
    ):
        with pytest.raises(ValueError, match=r"^b, row 2: there is no value"):
            model.predict(table, columns)


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
        ("b,a\n1,\xa02\n", r"'\\xa02' is not a number: there is a no-break space around 2, remove it"),
        ("b,a\n1,\xa0\n", r"'\\xa0' is not a number$"),
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
    data.write_bytes("b;a;kind\n2,0;1,0;\xfc\n4,0;3,0;\xfc\n0,25;0,5;\xfc\n".encode("latin-1"))
    dialect = Dialect(";", ",", "latin-1")
    for outputs in (model.predict(data, dialect=dialect), model.predict_all(data, dialect=dialect)["dense_1"]):
        np.testing.assert_array_equal(outputs.outputs, expected)


def test_unusable_files_are_no_models(path: Path) -> None:
    content = path.read_bytes()
    for damaged in (b"", b"onnx", content[:-1], content[:-4] + b"\0\0\0\0"):
        path.write_bytes(damaged)
        with pytest.raises(ModelUnreadable, match=r"model.safetensors .*a model is loaded from its .safetensors file"):
            load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(path.with_name("absent.safetensors"))


LABELLED = TABLE.assign(kind=["no", "yes", "yes"])


def test_an_evaluation_counts_classes(
    model: LocalModel, expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "PART_ROWS", 2)
    evaluation = model.evaluate(LABELLED)
    labels, predicted = np.array([0, 1, 1]), expected.argmax(axis=1)
    assert evaluation.metrics["loss"] == pytest.approx(-np.log(expected[range(3), labels]).mean(), rel=1e-6)
    assert evaluation.metrics["accuracy"] == pytest.approx((labels == predicted).mean())
    confusion = evaluation.confusions["dense_1"]
    counts = [[int(((labels == t) & (predicted == p)).sum()) for p in (0, 1)] for t in (0, 1)]
    assert (confusion.classes, confusion.counts.tolist()) == (("no", "yes"), counts)
    assert [(one.name, one.rows) for one in confusion.by_class] == [("no", 1), ("yes", 2)]
    assert repr(evaluation).startswith("<Evaluation of 3 samples: loss ")
    LABELLED.to_csv(tmp_path / "data.csv", index=False)
    for data in (tmp_path / "data.csv", (LABELLED[["a", "b"]].to_numpy(), LABELLED["kind"])):
        assert model.evaluate(data).metrics == evaluation.metrics


def test_an_evaluation_computes_one_forward_pass(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    passes, run_layers = [], Program._run

    def counted(program: Program, *args: object) -> None:
        passes.append(program.rows)
        run_layers(program, *args)

    monkeypatch.setattr(Program, "_run", counted)
    model.evaluate(LABELLED)
    assert passes == [3]


def test_the_loss_of_an_evaluation_has_the_class_weights_of_the_job(network: Model) -> None:
    loss = {"softmax_cross_entropy": {"class_weight": [1, 3]}}
    weighted = replace(network, specification=Network.model_validate({**SPECIFICATION.canonical(), "loss": loss}))
    labels, outputs = [0, 1, 1], network.predict(TABLE[["a", "b"]].to_numpy())
    losses = -np.log(outputs[range(3), labels]) * [1, 3, 3]
    assert LocalModel(weighted).evaluate(LABELLED).metrics["loss"] == pytest.approx(losses.mean(), rel=1e-6)


def test_samples_of_an_evaluation_that_do_not_fit_are_refused(model: LocalModel) -> None:
    with pytest.raises(ValueError, match=r"input: row 2: 1e.300 in column a is too far from"):
        model.evaluate(LABELLED.assign(a=[1.0, 1e300, 2.0]))


def test_quotients_of_classes() -> None:
    confusion = Confusion(("a", "b", "c"), np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    assert [(one.precision, one.recall, round(one.f1, 4)) for one in confusion.by_class] == [
        (1.0, 0.75, 0.8571),
        (2 / 3, 1.0, 0.8),
        (0.0, 0.0, 0.0),
    ]


def regression(**output: object) -> Model:
    """A network that returns its input, with the label `y`."""
    specification = Network.model_validate({"layers": [{"dense": {"units": 1, "use_bias": False}}], **output})
    preprocessing = Preprocessing((1,), ("x",), is_table=True)
    return Model.plain(specification, preprocessing, np.ones(1, np.float32), Target("y"))


def test_an_evaluation_of_numbers_has_residuals_and_every_metric() -> None:
    network = regression(loss="mean_squared_error", metrics=["r2", "root_mean_squared_error"])
    x = np.linspace(0, 1, 600)
    evaluation = LocalModel(network).evaluate({"x": x, "y": np.where(np.arange(600) == 299, x + 3, x - 0.5)})
    assert evaluation.metrics["root_mean_squared_error"] == pytest.approx(np.sqrt((599 * 0.25 + 9) / 600), rel=1e-6)
    assert evaluation.metrics["loss"] == pytest.approx((599 * 0.25 + 9) / 600, rel=1e-6)
    assert set(evaluation.metrics) >= {"loss", "r2", "root_mean_squared_error"}
    residuals = evaluation.residuals["dense_1"]
    assert (residuals.row, residuals.largest) == (300, pytest.approx(-3))
    assert residuals.quantiles[50] == pytest.approx(0.5)
    assert residuals.mean == pytest.approx((599 * 0.5 - 3) / 600)
    assert not evaluation.confusions


def test_an_evaluation_of_two_classes_ranks_all_rows() -> None:
    network = regression(loss="binary_cross_entropy", metrics=["auc"])
    x = np.linspace(-1, 1, 600)
    evaluation = LocalModel(network).evaluate(pd.DataFrame({"x": x, "y": (x > 0.5).astype(int)}))
    assert evaluation.metrics["auc"] == 1
    assert evaluation.confusions["dense_1"].counts.tolist() == [[300, 150], [0, 150]]


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "binary_focal_cross_entropy", "hinge"])
def test_texts_may_be_the_labels_of_two_classes(loss: str) -> None:
    network = replace(regression(loss=loss), targets={"dense_1": Target("y", ("no", "yes"))})
    evaluation = LocalModel(network).evaluate(pd.DataFrame({"x": [-2.0, -1.0, 3.0], "y": ["no", "yes", "yes"]}))
    assert evaluation.confusions["dense_1"].counts.tolist() == [[1, 0], [1, 1]]


def test_labels_that_are_booleans(tmp_path: Path) -> None:
    network = replace(regression(loss="binary_cross_entropy"), targets={"dense_1": Target("y", ("False", "True"))})
    table = pd.DataFrame({"x": [-2.0, -1.0, 3.0], "y": [False, True, True]})
    table.to_csv(tmp_path / "pandas.csv", index=False)
    (tmp_path / "other.csv").write_text("x,y\n-2,false\n-1,true\n3,TRUE\n")
    (tmp_path / "numbers.csv").write_text("x,y\n-2,0\n-1,1\n3,1.0\n")
    files = [tmp_path / f"{name}.csv" for name in ("pandas", "other", "numbers")]
    for data in (table, *files, table.astype({"y": object}), table.astype({"y": int}), table.astype({"y": float})):
        assert LocalModel(network).evaluate(data).confusions["dense_1"].counts.tolist() == [[1, 0], [1, 1]]
    assert LocalModel(network).predict(table).class_names == ("False", "True")


def test_missing_and_unknown_categories_of_any_form(network: Model, tmp_path: Path) -> None:
    preprocessing = Preprocessing((2,), ("a", "b"), True, (), ("1", "x"), has_buckets=True)
    model = LocalModel(replace(network, inputs={"input": preprocessing}))
    expected = model.predict({"a": ["x", "NA", "?"], "b": ["1", "", "2"]}).outputs
    assert len(np.unique(expected[:, 0])) == 3
    (tmp_path / "data.csv").write_text("b,a\n1,x\n,NA\n2,?\n")
    table = pd.DataFrame({"a": ["x", None, "?"], "b": pd.array([1, None, 2], "Int64")})
    table.to_parquet(tmp_path / "data.parquet")
    nan = {"a": ["x", float("nan"), "?"], "b": np.array([1, np.nan, 2])}
    for data in (tmp_path / "data.csv", tmp_path / "data.parquet", table, nan):
        np.testing.assert_array_equal(model.predict(data).outputs, expected)


@pytest.mark.parametrize("vocabulary", [("False", "True"), ("false", "true")])
def test_categories_that_are_booleans(vocabulary: tuple[str, ...], network: Model) -> None:
    preprocessing = Preprocessing((2,), ("a", "b"), is_table=True, vocabulary=vocabulary)
    model = LocalModel(replace(network, inputs={"input": preprocessing}))
    expected = model.predict({"a": list(vocabulary), "b": list(vocabulary)}).outputs
    for values in ([False, True], ["False", "True"], ["false", "true"], ["FALSE", "TRUE"]):
        np.testing.assert_array_equal(model.predict({"a": values, "b": values}).outputs, expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TABLE[["a", "b"]], "the label 'kind' is missing"),
        (LABELLED.assign(kind=["no", "maybe", "no"]), "kind, row 2: 'maybe' is none of the classes 'no', 'yes'"),
        (LABELLED.assign(c=1), "unknown: c"),
        (LABELLED.drop(columns="a"), "missing: a"),
        (np.zeros((2, 2)), "samples and labels by name are needed"),
        ((np.zeros((2, 2)), ["no"]), "the number of samples is 2, that of their labels 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(model: LocalModel, data: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.evaluate(data)


def test_numbers_of_classes_that_do_not_exist_are_refused(network: Model) -> None:
    plain = LocalModel(Model.plain(SPECIFICATION, network.input, network.weights, Target("kind")))
    assert plain.evaluate(TABLE.assign(kind=[0, 1, 1])).confusions["dense_1"].classes == ("0", "1")
    for labels, message in (([0, 2, 1], "kind, row 2: 2 is none of the 2 classes"), ([0, 0.5, 1], "not a class index")):
        with pytest.raises(ValueError, match=message):
            plain.evaluate(TABLE.assign(kind=labels))


def test_the_command_prints_metrics_and_classes(run, path: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    LABELLED.assign(id=7).to_csv(data, index=False)
    done = run("evaluate", path, data)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if line] == [
        *("rows", "loss", "accuracy"),
        *("LABEL\\PREDICTED", "no", "yes"),
        *("CLASS", "no", "yes"),
    ]
    assert done.stderr == f"{data}: not used, since the network was not trained on it: id\n"
    printed = json.loads(run("evaluate", path, data, "--json").stdout)
    assert (printed["rows"], printed["confusions"]["dense_1"]["classes"]) == (3, ["no", "yes"])
    save_model(path, regression(loss="mean_squared_error"))
    data.write_text("x,y\n1,2\n3,3\n")
    assert "residual largest    -1 in row 1" in run("evaluate", path, data).stdout.splitlines()
    data.write_text("x,y\n1,2\n3,a\n")
    done = run("evaluate", path, data)
    assert (done.exit_code, done.stderr) == (2, f"{data}: y, row 2 (line 3): 'a' is not a number\n")
    assert run("evaluate", path, data, "--checkpoint", "best").exit_code == 2


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("name", ["model.onnx", "runs/model.npz", "model.ONNX"])
def test_model_files_of_other_formats_are_wrong_usage(run, service, tmp_path: Path, command: str, name: str) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    done = run(command, name, tmp_path / "data.csv")
    assert (done.exit_code, done.stdout, service.calls) == (2, "", [])
    assert f"{name} is not the name of a job, and of model files .safetensors alone is read" in done.stderr
    assert "raydient download JOB -o model.safetensors" in done.stderr


def test_the_model_of_a_job_is_fetched(run, service, path: Path, tmp_path: Path) -> None:
    service.add_job(state="SUCCEEDED")
    service.model = path.read_bytes()
    service.model_sha256 = hashlib.sha256(service.model).hexdigest()
    LABELLED.to_csv(tmp_path / "data.csv", index=False)
    assert run("evaluate", "one", tmp_path / "data.csv").stdout == run("evaluate", path, tmp_path / "data.csv").stdout
