"""Loading of files: split, standardization, and the fit of labels and network."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.spec.errors import InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.network import Network
from raydient.workers.data import Profile, check_labels, load
from raydient.workers.network import Preprocessing, Scaling, build

DIGITS = Path(__file__).parents[2] / "examples" / "digits.csv"
GENERATOR = np.random.default_rng(1)
X, Y = GENERATOR.normal(5, 3, (50, 2, 3)), GENERATOR.integers(0, 3, 50)


def test_split_keeps_samples_and_labels_together(load_file):
    rows = np.arange(50)
    data = load_file({"x": rows, "y": rows}, split={"test": 0.3})
    assert (len(data.train.x), len(data.test.x)) == (35, 15)
    for x, y in ((data.train.x, data.train.y), (data.test.x, data.test.y)):
        assert np.array_equal(x[:, 0], y)
        assert (np.diff(y) > 0).all()
    assert sorted([*data.train.y, *data.test.y]) == rows.tolist()


def test_the_seed_decides_the_split(load_file):
    first, again, other = (load_file({"x": X, "y": Y}, seed=s, split={"test": 0.5}).test.x for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_split(load_file):
    data = load_file({"x": X, "y": Y})
    assert data.test.x.shape == (0, 2, 3)
    assert data.test.y.shape == (0,)
    assert np.array_equal(data.train.x, X.astype(np.float32))
    assert data.input.scaling is None


def test_nothing_left_to_train_on(errors_of):
    ((path, message),) = errors_of("a,y\n1,0\n", split={"test": 0.2})
    assert path == "dataset.split.test"
    assert "0.2 of 1 rows leaves no row to train on" in message


def test_standardization_is_fitted_on_the_training_part_only(load_file):
    data = load_file({"x": X, "y": Y}, split={"test": 0.4}, standardize=True)
    plain = load_file({"x": X, "y": Y}, split={"test": 0.4})
    np.testing.assert_allclose(data.train.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(data.train.x.std(axis=0), 1, rtol=1e-5)
    assert np.abs(data.test.x.mean(axis=0)).max() > 0.01
    for scaled, raw in ((data.train.x, plain.train.x), (data.test.x, plain.test.x)):
        np.testing.assert_allclose(
            scaled, (raw - data.input.scaling.mean) / data.input.scaling.scale, rtol=1e-4, atol=1e-5
        )


@given(value=st.floats(-1e30, 1e30), rows=st.integers(1, 200))
def test_a_constant_becomes_zero(value, rows):
    """The rounding of its mean does not count as variance."""
    x = np.full((rows, 1), value)
    scaling = Scaling.fit(x)
    assert scaling.scale.tolist() == [1]
    assert (scaling.apply(x) == 0).all()


@pytest.mark.parametrize("offset", [0, 1e9])
def test_standardization_rounds_once(offset):
    """Time stamps around a billion keep their seconds, which float32 cannot represent."""
    x = offset + np.arange(3000.0)[:, np.newaxis]
    scaled = Preprocessing((1,), transforms=(Scaling.fit(x),)).apply(x)
    np.testing.assert_allclose(scaled[:, 0], (np.arange(3000) - 1499.5) / np.arange(3000).std(), rtol=1e-6)


def test_a_variance_too_small_for_a_number(load_file):
    data = load_file({"x": np.array([0, 1e-200]), "y": Y[:2]}, standardize=True)
    assert np.isfinite(data.train.x).all()


def test_the_digits(load_file):
    spec = JobSpec.model_validate(
        {
            "dataset": {"uri": "digits.csv", "label": "digit", "standardize": True},
            "network": {"layers": [{"dense": {"units": 10}}], "loss": "softmax_cross_entropy"},
        }
    )
    data = load(spec.dataset, DIGITS, spec.network.named_outputs, seed=1)
    assert data.train.x.shape == (1438, 64)
    assert data.test.x.shape == (359, 64)
    assert data.input.feature_names[:2] == ("pixel_0_0", "pixel_0_1")
    assert set(data.train.y.tolist()) == set(range(10))
    check_labels(Profile.of(data, spec.network.named_outputs), build(spec.network, data.input_shapes))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "data.xlsx",
            "a,y\n1,0\n",
            "the file's suffix is '.xlsx'; those of data files are .csv, .csv.gz, .npz, .parquet, .arrow, .feather, ",
        ),
        ("data", "a,y\n1,0\n", "the file's suffix is ''"),
        (
            "data.npy",
            "",
            "the file's suffix is '.npy'; it has one array and no labels: write samples and labels to one",
        ),
    ],
)
def test_the_suffix_decides(errors_of, name, content, message):
    ((path, text),) = errors_of(content, name=name)
    assert path == "dataset.uri"
    assert message in text


def test_suffixes_in_capitals(load_file):
    assert load_file("a,y\n1,0\n", name="DATA.CSV").train.x.tolist() == [[1]]


@pytest.mark.parametrize(("name", "message"), [("absent.csv", "no such file"), ("folder.csv", "is not a file")])
def test_no_file(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    spec = JobSpec.model_validate(
        {
            "dataset": {"uri": name},
            "network": {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"},
        }
    )
    with pytest.raises(InvalidSpec, match=message) as caught:
        load(spec.dataset, tmp_path / name, spec.network.named_outputs, 1)
    assert str(tmp_path) not in str(caught.value), "messages do not reveal the path on the server"
    assert [error.path for error in caught.value.errors] == ["dataset.uri"]


def network(units, loss, input_shape=(2, 3)):
    layers = [
        "flatten",
        {"dense": {"units": 4}},
        {"dense": {"units": units}},
        {"activation": {"function": "tanh", "name": "predicts_label"}},
    ]
    return build(Network.model_validate({"layers": layers, "loss": loss}), input_shape)


def profile(data, network):
    return Profile.of(data, network.spec.named_outputs)


def label_error(data, network):
    with pytest.raises(InvalidSpec) as caught:
        check_labels(profile(data, network), network)
    ((path, message),) = [(error.path, error.message) for error in caught.value.errors]
    return path, message


def test_a_class_beyond_the_outputs(load_file):
    data = load_file({"x": X, "y": Y})
    fitting = network(3, "softmax_cross_entropy")
    check_labels(profile(data, fitting), fitting)
    path, message = label_error(data, network(2, "softmax_cross_entropy"))
    assert path == "network.layers[2].dense.units"
    assert message == "2 outputs, but the largest class in the data is 2: 3 are needed"


def test_a_class_that_only_the_held_out_part_has(load_file):
    arrays = {"x": np.arange(20), "y": np.arange(20)}
    splits = (load_file(arrays, seed=seed, split={"test": 0.5}) for seed in range(20))
    data = next(data for data in splits if 19 in data.test.y)
    _, message = label_error(data, network(19, "softmax_cross_entropy", (1,)))
    assert "the largest class in the data is 19" in message


def test_a_text_class_beyond_the_outputs(load_file):
    data = load_file({"x": X[:3], "y": np.array(["a", "b", "c"])})
    _, message = label_error(data, network(2, "softmax_cross_entropy"))
    assert "largest class in the data is 2 ('c')" in message


def test_targets_of_another_width(load_file):
    data = load_file({"x": X, "y": GENERATOR.random((50, 2))}, "mean_squared_error")
    fitting = network(2, "mean_squared_error")
    check_labels(profile(data, fitting), fitting)
    path, message = label_error(data, network(3, "mean_squared_error"))
    assert path == "network.layers[2].dense.units"
    assert message == "3 outputs, but 2 label values a row: 2 are needed"
