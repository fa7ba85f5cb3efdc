"""Initial weights: the file that is read, the files that are refused, and training from these weights."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from raydient.server.training.initial_weights import find_weights
from raydient.server.training.preparation import prepare
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.workers.network import Model, read_weights, save_model

KERNEL, BIAS = np.arange(6, dtype=np.float32).reshape(2, 3), np.full(3, 7, np.float32)


@pytest.fixture
def job(tmp_path):
    """Return a function that makes a job starting from a file with these tensors; None: from a damaged file."""
    np.savez(tmp_path / "data.npz", x=np.zeros((9, 2)), y=np.arange(9) % 3)

    def prepared(tensors):
        if tensors is None:
            (tmp_path / "weights.safetensors").write_bytes(b"no tensors")
        else:
            save_file(tensors, tmp_path / "weights.safetensors")
        spec = validate_job(
            {
                "dataset": {"uri": "data.npz"},
                "network": {"layers": [{"dense": {"units": 3, "name": "d"}}], "loss": "softmax_cross_entropy"},
                "training": {"initial_weights": "weights.safetensors", "batch_size": 2},
            }
        )
        return prepare(spec, tmp_path / "data.npz", files=tmp_path)

    return prepared


def test_weights_are_those_of_the_file(job):
    prepared = job({"d.bias": BIAS, "d.kernel": KERNEL})
    vector = np.full(prepared.network.layout.size, np.nan, np.float32)
    read_weights(prepared.network, prepared.initial_weights, vector, prepared.taken)
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 7, 7, 7]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"d.kernel": KERNEL}, "has no d.bias, which the network needs"),
        ({"other": BIAS}, "has no d.kernel and 1 more, which the network needs"),
        ({"d.kernel": KERNEL, "d.bias": BIAS, "e.bias": BIAS}, "has e.bias, which the network does not have"),
        ({"d.kernel": KERNEL.T.copy(), "d.bias": BIAS}, "has d.kernel as F32 [3, 2], but the network needs F32 [2, 3]"),
        (
            {"d.kernel": KERNEL, "d.bias": BIAS.astype(np.float64)},
            "has d.bias as F64 [3], but the network needs F32 [3]",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_the_path(job, tensors, message):
    with pytest.raises(InvalidSpec) as caught:
        job(tensors)
    (error,) = caught.value.errors
    assert error.path == "training.initial_weights"
    assert error.message == f"weights.safetensors {message}"


def trained_on(path, text, **dataset):
    """Write a model of one dense layer as training on this table would leave it; return its samples."""
    prepared = prepared_on(path.parent, text, None, **dataset)
    weights = np.arange(prepared.network.layout.size, dtype=np.float32)
    save_model(path, Model(prepared.network.spec, prepared.dataset.inputs, weights, prepared.dataset.targets))
    return prepared.dataset


def prepared_on(folder, text, initial, *, units=2, **dataset):
    """Return a prepared job on this table."""
    (folder / "data.csv").write_text(text)
    layer = {"name": "d", "units": units}
    data = {
        "dataset": {"uri": "data.csv", "label": "y", "split": {"test": 0.0}, **dataset},
        "network": {"layers": [{"dense": layer}], "loss": "softmax_cross_entropy"},
        "training": {"batch_size": 2, **({"initial_weights": initial} if initial else {})},
    }
    return prepare(validate_job(data), folder / "data.csv", files=folder)


AB = "a,b,y\n1,20,p\n2,10,q\n4,60,p\n"
DATES = "a,b,y\n1,2026-11-20,p\n2,2026-10-10,q\n4,2026-11-30,p\n"
BA = "b,a,y\n20,1,p\n10,2,q\n60,4,p\n"
TOWN = {"inputs": {"town": {"columns": ["town"], "categories": True}}}
BUCKETS = {"inputs": {"town": {**TOWN["inputs"]["town"], "buckets": True}}}


TEXT = {"inputs": {"town": {"columns": ["town"], "text": {"tokens": "word", "length": 2}}}}
HASHED = {"inputs": {"town": {"columns": ["town"], "hashing": {"buckets": 9}}}}
ONE_HOT = {"inputs": {"town": {**HASHED["inputs"]["town"], "one_hot": True}}}


@pytest.mark.parametrize(
    ("text", "first", "second_text", "second", "message"),
    [
        (
            "town,y\nUlm,p\nBonn,q\n",
            TEXT,
            "town,y\nUlm,p\nBonn,q\n",
            {"inputs": {"town": {"columns": ["town"], "text": {"tokens": "character", "length": 2}}}},
            "was trained with word tokens, this job has character tokens, or others: the same dataset.inputs.town.text",
        ),
        (
            "town,y\nUlm,p\nBonn,q\n",
            HASHED,
            "town,y\nUlm,p\nBonn,q\n",
            ONE_HOT,
            "hashing to 9 buckets with the salt 0 and no one-hot vectors, this job has hashing to 9 buckets",
        ),
        (
            AB,
            {},
            BA,
            {},
            "columns 'a', 'b', this job has 'b', 'a': name them in that order in dataset.features",
        ),
        (AB, {}, AB.replace("b", "c"), {}, "was trained on the columns 'a', 'b', this job has 'a', 'c': the same"),
        (AB, {}, AB, {"standardize": True}, "was trained without standardization: dataset.standardize has to be false"),
        (
            AB,
            {"columns": {"a": {"impute": "mean", "indicator": True}}},
            AB,
            {"columns": {"b": {"impute": "mean", "indicator": True}}},
            "was trained with indicators of 'a', this job has those of 'b'",
        ),
        (
            AB,
            {"columns": {"a": {"log": True}}},
            AB,
            {},
            "was trained with `log: true` of 'a', this job has `log: false`: dataset.columns.a.log has to be true",
        ),
        (
            DATES,
            {"columns": {"b": {"date": {"parts": ["day", "month"]}}}},
            DATES,
            {"columns": {"b": {"date": {"days_since": "2000-01-01"}, "log": True}}},
            "`date: day, month` of 'b', this job has `date: days_since: 2000-01-01`: dataset.columns.b.date has to be",
        ),
        (
            DATES,
            {"columns": {"b": {"date": {"parts": ["day", "month"]}}}},
            DATES,
            {"columns": {"b": {"date": {"parts": ["day", "month"]}, "log": True}}},
            "was trained with `log: false` of 'b', this job has `log: true`: dataset.columns.b.log has to be false",
        ),
        (
            AB,
            {},
            AB,
            {"columns": {"b": {"clip": {"min": 1}}}},
            "`clip: none` of 'b', this job has `clip: {min: 1.0}`: dataset.columns.b.clip has to be left out",
        ),
        (
            AB,
            {"columns": {"b": {"scale": "min_max"}}},
            AB,
            {"standardize": True, "columns": {"a": {"scale": "none"}}},
            "`scale: min_max` of 'b', this job has `scale: standardize`: dataset.columns.b.scale has to be min_max",
        ),
        (
            AB,
            {"standardize": True},
            AB,
            {"columns": {"a": {"scale": "min_max"}, "b": {"scale": "min_max"}}},
            "`scale: standardize` of all columns, this job has `scale: min_max`: dataset.columns.NAME.scale has to be",
        ),
        (
            AB,
            {"impute": "mean"},
            AB,
            {"impute": "median"},
            "`impute: mean` of all columns, this job has `impute: median`: dataset.impute has to be mean",
        ),
        (
            AB,
            {"columns": {"a": {"impute": {"constant": {"value": 1}}}}},
            AB,
            {"columns": {"a": {"impute": {"constant": {"value": 2}}}, "b": {"impute": "mean"}}},
            "this job has `impute: {constant: {value: 2.0}}`: dataset.columns.a.impute has to be {constant: {value: 1",
        ),
        (
            AB,
            {"standardize": True, "columns": {"a": {"impute": "mean", "indicator": True}}},
            AB,
            {"standardize": True},
            "was trained with indicators of 'a', this job has those of no column",
        ),
        (AB, {"standardize": True}, AB, {}, "was trained with standardization: dataset.standardize has to be true"),
        (AB, {}, AB.replace("q", "z"), {}, "has for the output d the classes 'p', 'q', the data of this job 'p', 'z'"),
        (
            AB,
            {},
            AB.replace("p", "0").replace("q", "1"),
            {},
            "the data of this job 0, 1, ...: the same texts are needed",
        ),
        (
            "town,y\nUlm,p\nBonn,q\n",
            TOWN,
            "town,y\nUlm,p\nKiel,q\n",
            TOWN,
            "has other categories than the data of this job; only one of them has 'Bonn', 'Kiel'",
        ),
        ("town,y\n1,p\n2,q\n", TOWN, "town,y\n1,p\n2,q\n", {"inputs": {"town": "town"}}, "has other categories"),
        (
            "town,y\n1,p\n2,q\n",
            BUCKETS,
            "town,y\n1,p\n2,q\n",
            TOWN,
            "was trained with buckets for missing and unknown categories, this job is without: the same",
        ),
        ("a,y\n1,p\n2,q\n", {}, "a,y\n1,p\n2,q\n", {"inputs": {"a": "a"}}, "has no input a, only 'input'"),
    ],
)
def test_weights_of_other_data_are_refused(tmp_path, text, first, second_text, second, message):
    trained_on(tmp_path / "w.safetensors", text, **first)
    with pytest.raises(InvalidSpec) as caught:
        prepared_on(tmp_path, second_text, "w.safetensors", **second)
    (error,) = caught.value.errors
    assert error.path == "training.initial_weights"
    assert error.message.startswith("w.safetensors ")
    assert message in error.message


def test_columns_in_the_order_of_the_weights_are_taken_by_name(tmp_path):
    """The message asks for this order: the same rows give the same samples, whatever the order in the file."""
    was = trained_on(tmp_path / "w.safetensors", AB)
    now = prepared_on(tmp_path, BA, "w.safetensors", features=["a", "b"])
    np.testing.assert_array_equal(now.dataset.train.x, was.train.x)


def test_categories_that_the_weights_do_not_know_are_unknown(tmp_path):
    trained_on(tmp_path / "w.safetensors", "town,y\nUlm,p\nBonn,q\n", **BUCKETS)
    now = prepared_on(tmp_path, "town,y\nUlm,p\nKiel,q\n,q\n", "w.safetensors", **BUCKETS)
    assert now.dataset.train.xs["town"].ravel().tolist() == [3, 1, 0]
    assert now.dataset.inputs["town"].vocabulary == ("Bonn", "Ulm")


def test_weights_bring_the_tokens_of_texts(tmp_path):
    trained_on(tmp_path / "w.safetensors", "town,y\nUlm,p\nBonn,q\n", **TEXT)
    now = prepared_on(tmp_path, "town,y\nUlm,p\nKiel,q\n", "w.safetensors", **TEXT)
    assert now.dataset.train.x.tolist() == [[3, 0], [1, 0]]


def test_an_array_and_a_table_cannot_be_compared(tmp_path):
    trained_on(tmp_path / "w.safetensors", AB)
    np.savez(tmp_path / "data.npz", x=np.ones((4, 2)), y=np.array(["p", "q"] * 2))
    spec = {
        "dataset": {"uri": "data.npz", "split": {"test": 0.0}},
        "network": {"layers": [{"dense": {"name": "d", "units": 2}}], "loss": "softmax_cross_entropy"},
        "training": {"batch_size": 2, "initial_weights": "w.safetensors"},
    }
    with pytest.raises(InvalidSpec, match="was trained on the columns of a table, this job has an array without names"):
        prepare(validate_job(spec), tmp_path / "data.npz", files=tmp_path)


def test_weights_bring_the_standardization_that_they_were_trained_with(tmp_path):
    """On other rows, the same raw sample is the same to the network as before."""
    was = trained_on(tmp_path / "w.safetensors", AB, standardize=True)
    now = prepared_on(tmp_path, "a,b,y\n1,20,p\n1000,5,q\n", "w.safetensors", standardize=True)
    np.testing.assert_array_equal(now.dataset.train.x[0], was.train.x[0])
    assert now.dataset.input.scaling.mean.tolist() == was.input.scaling.mean.tolist()


def test_weights_bring_the_numbers_of_missing_values(tmp_path):
    was = trained_on(tmp_path / "w.safetensors", AB, impute="mean", standardize=True)
    now = prepared_on(tmp_path, "a,b,y\n1,20,p\n1000,,q\n", "w.safetensors", impute="mean", standardize=True)
    assert now.dataset.input.transforms[0].values.tolist() == was.input.transforms[0].values.tolist()
    np.testing.assert_allclose(now.dataset.train.x[1, 1], 0, atol=1e-6)


def test_each_column_keeps_the_number_of_its_missing_values(tmp_path):
    """Also if the job fills one more column, whose number is computed from its own data."""
    trained_on(tmp_path / "w.safetensors", AB, columns={"a": {"impute": "mean"}})
    now = prepared_on(tmp_path, "a,b,y\n,8,p\n1000,,q\n", "w.safetensors", impute="mean")
    assert now.dataset.train.x.tolist() == [[pytest.approx(7 / 3), 8], [1000, 8]]


def test_arrays_with_other_numbers_for_missing_values_are_refused(tmp_path):
    spec = {
        "dataset": {"uri": "data.npz", "split": {"test": 0.0}, "impute": "mean"},
        "network": {"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"},
        "training": {"batch_size": 2},
    }
    np.savez(tmp_path / "data.npz", x=np.ones((4, 2)), y=np.array(["p", "q"] * 2))
    first = prepare(validate_job(spec), tmp_path / "data.npz")
    weights = np.zeros(first.network.layout.size, np.float32)
    model = Model(first.network.spec, first.dataset.inputs, weights, first.dataset.targets)
    save_model(tmp_path / "w.safetensors", model)
    spec["dataset"]["impute"] = "median"
    spec["training"]["initial_weights"] = "w.safetensors"
    with pytest.raises(InvalidSpec, match=r"this job has `impute: median`: dataset\.impute has to be mean"):
        prepare(validate_job(spec), tmp_path / "data.npz", files=tmp_path)


def test_a_file_with_damaged_metadata_is_refused(tmp_path):
    save_file({"d.kernel": KERNEL, "d.bias": BIAS}, tmp_path / "w.safetensors", {"format": "raydient-model/2"})
    with pytest.raises(InvalidSpec, match="has damaged metadata"):
        prepared_on(tmp_path, AB, "w.safetensors", units=3)


def test_a_file_of_another_kind_is_refused(job):
    with pytest.raises(InvalidSpec, match="is no safetensors file that can be read"):
        job(None)


@pytest.mark.parametrize("links", [True, False])
def test_weights_outlive_the_job_that_they_come_from(tmp_path, monkeypatch, links):
    """By a second name of the file, or by a copy where hard links are not possible."""
    np.savez(tmp_path / "data.npz", x=np.zeros((9, 2)), y=np.arange(9) % 3)
    model, kept = tmp_path / "other" / "model.safetensors", tmp_path / "this.safetensors"
    model.parent.mkdir()
    save_file({"d.bias": BIAS, "d.kernel": KERNEL}, model)
    spec = validate_job(
        {
            "dataset": {"uri": "data.npz"},
            "network": {"layers": [{"dense": {"units": 3, "name": "d"}}], "loss": "softmax_cross_entropy"},
            "training": {"initial_weights": "jobs/other", "batch_size": 2},
        }
    )

    def prepared():
        return prepare(spec, tmp_path / "data.npz", jobs=tmp_path, kept=kept)

    def refuse(*paths):
        raise PermissionError(paths)

    if not links:
        monkeypatch.setattr("os.link", refuse)
    assert prepared().initial_weights == kept
    assert kept.stat().st_nlink == (2 if links else 1)
    model.unlink()
    vector = np.full(9, np.nan, np.float32)
    read_weights(prepared().network, prepared().initial_weights, vector, prepared().taken)
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 7, 7, 7]
    kept.unlink()
    with pytest.raises(InvalidSpec, match="there is no model of jobs/other"):
        prepared()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "other"]


def test_the_name_of_a_job_means_its_model(tmp_path):
    (tmp_path / "a-1").mkdir()
    (tmp_path / "a-1" / "model.safetensors").touch()
    assert find_weights("jobs/a-1", jobs=tmp_path) == tmp_path / "a-1" / "model.safetensors"


@pytest.mark.parametrize(
    ("name", "places", "message"),
    [
        ("jobs/a-1", {"files": True}, "is a job of a service, which is not asked here"),
        ("jobs/a-2", {"jobs": True}, "there is no model of jobs/a-2"),
        ("datasets/" + "0" * 64, {"files": True}, "is a file of a service, which is not asked here"),
        ("datasets/" + "0" * 64, {"jobs": True}, "was deleted meanwhile: upload the model again"),
        (
            "model.safetensors",
            {"jobs": True},
            "is none of jobs/ID, a job of the service, and datasets/ID, an uploaded model",
        ),
        (
            "jobs/../secret",
            {"jobs": True},
            "is none of jobs/ID, a job of the service, and datasets/ID, an uploaded model",
        ),
        ("/etc/passwd", {"jobs": True}, "is none of jobs/ID, a job of the service, and datasets/ID, an uploaded model"),
        ("absent.safetensors", {"files": True}, "there is no file 'absent.safetensors'"),
    ],
)
def test_a_file_that_may_not_be_read_is_refused(tmp_path, name, places, message):
    with pytest.raises(InvalidSpec, match=message):
        find_weights(name, **dict.fromkeys(places, tmp_path))


def regression_on(folder, text, initial="", **dataset):
    """Return a prepared job on numbers as labels."""
    (folder / "data.csv").write_text(text)
    data = {
        "dataset": {"uri": "data.csv", "split": {"test": 0.0}, **dataset},
        "network": {"layers": [{"dense": {"name": "d", "units": 1}}], "loss": "mean_squared_error"},
        "training": {"batch_size": 2, "initial_weights": initial},
    }
    return prepare(validate_job(data), folder / "data.csv", files=folder)


def test_weights_bring_the_scale_of_the_label(tmp_path):
    was = regression_on(tmp_path, "a,y\n1,10\n2,30\n", standardize_label=True)
    weights = np.zeros(was.network.layout.size, np.float32)
    save_model(tmp_path / "w.safetensors", Model(was.spec.network, was.dataset.inputs, weights, was.dataset.targets))
    now = regression_on(tmp_path, "a,y\n1,20\n2,500\n", "w.safetensors", standardize_label=True)
    assert now.dataset.train.y.ravel().tolist() == [0, 48]
    assert now.network.output.scaling is now.dataset.target.scaling, "a replay measures in the unit of the label too"
    other = regression_on(tmp_path, "a,z\n1,20\n2,500\n", "w.safetensors", label="z", standardize_label=True)
    assert other.dataset.train.y.ravel().tolist() == [-1, 1], "another label has a scale of its own"
    message = (
        "w.safetensors was trained with a standardized label for the output d: dataset.standardize_label has to be true"
    )
    with pytest.raises(InvalidSpec, match=message):
        regression_on(tmp_path, "a,y\n1,20\n2,500\n", "w.safetensors")
