"""Imputation: the numbers in place of missing values, the indicators, and the same in the model file and in ONNX."""

import io

import numpy as np
import onnxruntime
import pytest

from raydient.spec.columns import Impute
from raydient.spec.layers import INPUT
from raydient.spec.network import Network
from raydient.workers.network import FitError, Imputation, Model, Preprocessing, Scaling, Target, load_model, save_model
from raydient.workers.network.export import write_npz
from raydient.workers.network.onnx_export import write_onnx

NAN = np.nan
X = np.array([[1, NAN, 5, 3], [2, 8, NAN, 3], [2, 4, 7, NAN], [7, NAN, 9, 1.5], [NAN, 6, 5, 1.5]])
RULES = {0: "most_frequent", 1: "mean", 2: "median", 3: {"constant": {"value": -1}}}


def rules(choices):
    return {place: Impute.model_validate(choice) for place, choice in choices.items()}


def identity(preprocessing):
    """A model whose outputs are its prepared inputs."""
    (size,) = preprocessing.prepared_shape
    layers = [{"dense": {"units": size, "use_bias": False}}]
    specification = Network.model_validate({"layers": layers, "loss": "mean_squared_error"})
    weights = np.eye(size, dtype=np.float32).ravel()
    return Model(specification, {INPUT: preprocessing}, weights, {"dense_1": Target("y")})


def test_each_rule_by_its_figures():
    fitted = Imputation.fit(X, rules(RULES))
    assert fitted.values.tolist() == [2, 6, 6, -1]
    filled = fitted.apply(X)
    np.testing.assert_array_equal(filled[np.isnan(X)], [6, 6, -1, 6, 2])
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    assert np.isnan(X[0, 1])  # the samples of the caller stay as they are


@pytest.mark.parametrize(
    ("values", "rule", "number"),
    [
        ([3, 3, 1, 1, 2], "most_frequent", 1),
        ([4, 1, 9], "median", 4),
        ([1.6e308, 1.7e308], "median", 1.65e308),
        ([1.6e308, 1.7e308], "mean", 1.65e308),
        ([0.1, 0.1, 0.1], "mean", 0.1),
        ([NAN, NAN], {"constant": {"value": 0.5}}, 0.5),
    ],
)
def test_numbers_of_any_size(values, rule, number):
    fitted = Imputation.fit(np.array(values)[:, np.newaxis], rules({0: rule}))
    assert fitted.values == pytest.approx([number], rel=1e-15)


@pytest.mark.parametrize("rule", ["mean", "median", "most_frequent"])
def test_without_any_value_there_is_no_number(rule):
    x = np.array([[[1.0, NAN]], [[2.0, NAN]]])
    with pytest.raises(FitError, match=f"no {rule.replace('_', ' ')} of them: leave it out") as caught:
        Imputation.fit(x, rules({1: rule}))
    assert caught.value.place == (0, 1)


def test_indicators_follow_the_features_and_are_not_scaled():
    imputation = Imputation.fit(X, rules(RULES), indicators=[3, 1])
    scaling = Scaling.fit_each(imputation.apply(X), [*["standardize"] * 4, "none", "none"])
    preprocessing = Preprocessing((4,), ("a", "b", "c", "d"), True, (imputation, scaling))
    assert preprocessing.prepared_shape == (6,)
    assert preprocessing.indicators == ("b", "d")
    prepared = preprocessing.apply(X)
    assert prepared[:, 4].tolist() == [1, 0, 0, 1, 0]
    assert prepared[:, 5].tolist() == [0, 0, 1, 0, 0]
    np.testing.assert_allclose(prepared[:, :4].mean(axis=0), 0, atol=1e-7)


@pytest.mark.parametrize("indicators", [[], [0, 2]])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_model_file_and_onnx_compute_the_same(tmp_path, indicators, is_scaled):
    imputation = Imputation.fit(X, rules({0: "mean", 2: "median"}), indicators)
    columns = np.arange(4 + len(indicators)) < 4
    scaling = Scaling(np.array([1e6, 2, 3, 4, 0, 0]), np.array([3.0, 2, 1, 7, 1, 1]))
    scaling = Scaling(scaling.mean[: len(columns)], scaling.scale[: len(columns)])
    steps = (imputation, scaling) if is_scaled else (imputation,)
    model = identity(Preprocessing((4,), ("a", "b", "c", "d"), True, steps))
    x = np.nan_to_num(X, nan=4)
    x[:, [0, 2]] = X[:, [0, 2]]
    expected = model.predict(x)
    assert np.isfinite(expected).all()
    save_model(tmp_path / "m.safetensors", model)
    loaded = load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict(x), expected)
    assert loaded.input.optional_columns == ("a", "c")
    file = io.BytesIO()
    write_onnx(loaded, file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"input": x})[0], expected)


def test_images_are_filled_place_by_place():
    x = np.array([[[1, NAN], [3, 4]], [[3, 6], [5, 4.0]]])
    imputation = Imputation.fit(x, rules(dict.fromkeys(range(4), "mean")))
    assert imputation.apply(x).tolist() == [[[1, 6], [3, 4]], [[3, 6], [5, 4]]]
    assert Preprocessing((2, 2), ("x",), transforms=(imputation,)).optional_columns == ("x",)


def test_the_npz_export_has_the_numbers():
    imputation = Imputation.fit(X, rules({1: "mean", 2: "median"}), [2])
    file = io.BytesIO()
    write_npz(identity(Preprocessing((4,), ("a", "b", "c", "d"), True, (imputation,))), file)
    with np.load(io.BytesIO(file.getvalue()), allow_pickle=False) as arrays:
        assert arrays["imputation_places"].tolist() == [1, 2]
        assert arrays["imputation_values"].tolist() == [6, 6]
        assert arrays["imputation_indicators"].tolist() == [2]
