"""Bounds, logarithms and scales of single columns, in arrays, in the model file and in ONNX."""

import io

import numpy as np
import onnxruntime
import pytest

from raydient.workers.network import (
    Bounding,
    FitError,
    Imputation,
    Logarithm,
    Preprocessing,
    SampleError,
    Scaling,
    load_model,
    save_model,
)
from raydient.workers.network.onnx_export import write_onnx

from .test_imputation import identity

X = np.array([[-5.0, 3, 0, 1], [2, 1e-12, 10, 1], [99, 1e6, 4, 1]])
BOUNDING = Bounding(np.array([0]), np.array([0.0]), np.array([50.0]))
LOGARITHM = Logarithm(np.array([0, 1]))


def test_each_step_by_its_figures():
    assert BOUNDING.apply(X)[:, 0].tolist() == [0, 2, 50]
    np.testing.assert_array_equal(BOUNDING.apply(X)[:, 1:], X[:, 1:])
    np.testing.assert_allclose(LOGARITHM.apply(X)[1:, 1], [1e-12, np.log(1e6 + 1)], atol=1e-15)
    scaling = Scaling.fit_each(X, ["none", "standardize", "min_max", "min_max"])
    assert scaling.apply(X)[:, 0].tolist() == X[:, 0].tolist()
    np.testing.assert_array_equal(scaling.apply(X)[:, 1], Scaling.fit(X[:, 1:2]).apply(X[:, 1:2])[:, 0])
    assert scaling.apply(X)[:, 2:].tolist() == [[0, 0], [1, 0], [0.4, 0]]


def test_what_cannot_be_fitted_names_its_feature():
    with pytest.raises(FitError, match=r"-5 has no log\(1 \+ x\): clip it above -1") as caught:
        Logarithm.fit(X, np.array([1, 0]))
    assert caught.value.place == (0,)
    with pytest.raises(FitError, match="too far apart") as caught:
        Scaling.fit_each(np.array([[1, -1e308], [2, 1e308]]), ["min_max", "min_max"])
    assert caught.value.place == (1,)


def test_model_file_and_onnx_compute_the_same(tmp_path):
    imputation = Imputation(np.array([3]), np.array([7.0]), np.array([3]))
    bent = LOGARITHM.apply(BOUNDING.apply(imputation.apply(X)))
    scaling = Scaling.fit_each(bent, ["standardize", "min_max", "none", "min_max", "none"])
    steps = (imputation, BOUNDING, LOGARITHM, scaling)
    model = identity(Preprocessing((4,), ("a", "b", "c", "d"), True, steps))
    x = np.array([[-7.5, 2, 3, np.nan], [1e9, 0, -4, 5], [20, 40, 0, np.nan]])
    expected = model.predict(x)
    save_model(tmp_path / "m.safetensors", model)
    np.testing.assert_array_equal(load_model(tmp_path / "m.safetensors").predict(x), expected)
    file = io.BytesIO()
    write_onnx(model, file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"input": x})[0], expected, rtol=1e-6)
    with pytest.raises(SampleError, match=r"-2.0 in column b has no log\(1 \+ x\), which needs numbers above -1"):
        model.predict(np.array([[1.0, -2, 3, 4]]))
