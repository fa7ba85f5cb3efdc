"""Models of standardized labels: predictions, metrics, ONNX and files have the unit of the label, the loss has none."""

import io
import json

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file

from raydient.client import LocalModel
from raydient.spec.network import Network
from raydient.workers.network import (
    Model,
    ModelError,
    Preprocessing,
    Program,
    Scaling,
    Target,
    build,
    evaluate,
    load_model,
    save_model,
)
from raydient.workers.network.export import write_npz
from raydient.workers.network.onnx_export import write_onnx

SCALING = Scaling(np.array([1e6, -0.5]), np.array([2e4, 0.125]))
METRICS = ["root_mean_squared_error", "r2"]
LAYERS = [{"dense": {"units": 2, "use_bias": False}}]
RAW = np.random.default_rng(4).normal([1e6, -0.5], [2e4, 0.125], (9, 2))
X = np.random.default_rng(5).normal(size=(9, 2)).astype(np.float32)


def model_of(loss="mean_squared_error", scaling=SCALING):
    """A network that returns its two inputs, in units of the deviation of two labels."""
    specification = Network.model_validate({"layers": LAYERS, "loss": loss, "metrics": METRICS})
    return Model.plain(
        specification, Preprocessing((2,), ("x",)), np.eye(2, dtype=np.float32).ravel(), Target("y", (), scaling)
    )


def test_predictions_have_the_unit_of_the_label():
    expected = (X.astype(float) * SCALING.scale + SCALING.mean).astype(np.float32)
    np.testing.assert_array_equal(model_of().predict(X), expected)
    np.testing.assert_array_equal(LocalModel(model_of()).predict(X).outputs, expected)


@pytest.mark.parametrize(
    ("loss", "costs"),
    [
        ("mean_squared_error", lambda e: (e**2).mean()),
        ("sum_squared_error", lambda e: (e**2).sum(axis=1).mean()),
        ("mean_absolute_error", lambda e: np.abs(e).mean()),
        ({"quantile": {"quantile": 0.25}}, lambda e: np.where(e > 0, 0.75 * e, -0.25 * e).mean()),
        ({"huber": {"delta": 0.5}}, lambda e: np.where(np.abs(e) <= 0.5, e**2 / 2, np.abs(e) / 2 - 1 / 8).mean()),
    ],
)
def test_metrics_have_the_unit_of_the_label_and_the_loss_has_none(loss, costs):
    metrics, outputs = evaluate(model_of(loss), {"input": X}, {"dense_1": RAW})
    errors = outputs["dense_1"].astype(float) - RAW
    assert metrics["loss"] == pytest.approx(costs(X - SCALING.apply(RAW)), rel=1e-5)
    assert metrics["mean_absolute_error"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert metrics["root_mean_squared_error"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
    spread = ((RAW - RAW.mean(axis=0)) ** 2).sum(axis=0)
    assert metrics["r2"] == pytest.approx(np.mean(1 - (errors**2).sum(axis=0) / spread), rel=1e-5)
    evaluation = LocalModel(model_of(loss)).evaluate((X, RAW))
    assert evaluation.metrics == metrics
    assert evaluation.residuals["dense_1"].mean == pytest.approx(errors.mean(), rel=1e-6)


def test_a_worker_needs_the_unit_alone():
    """The mean has no effect on a metric of errors, so that an assignment does not carry it."""
    specification, sums = model_of().specification, []
    for mean in (SCALING.mean, np.zeros(2)):
        program = Program(build(specification, (2,), scalings={"dense_1": Scaling(mean, SCALING.scale)}), 9)
        program.x[...], program.y[...] = X, SCALING.apply(RAW)
        sums.append(program.forward(program.network.bind(np.eye(2, dtype=np.float32).ravel())).tolist())
    assert sums[0] == sums[1]


def test_onnx_gives_the_same_numbers_from_raw_samples():
    file = io.BytesIO()
    write_onnx(model_of(), file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {"input": X})
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, model_of().predict(X), rtol=1e-7)


def test_npz_has_the_figures():
    for scaling, names in ((SCALING, {"label_mean", "label_scale"}), (None, set())):
        file = io.BytesIO()
        write_npz(model_of(scaling=scaling), file)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            assert {name for name in arrays if name.startswith("label_")} == names
            assert not names or arrays["label_scale"].tolist() == SCALING.scale.tolist()


def test_the_file_of_a_model_keeps_the_figures(tmp_path):
    save_model(tmp_path / "m.safetensors", model_of())
    scaling = load_model(tmp_path / "m.safetensors").target.scaling
    assert (scaling.mean.tolist(), scaling.scale.tolist()) == (SCALING.mean.tolist(), SCALING.scale.tolist())
    plain = json.loads(model_of(scaling=None).metadata["targets"])
    assert plain == {"dense_1": ["y", []]}, "the file of a model without it is that of earlier versions"


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"mean": [1.0, 2.0], "scale": [1.0, 0.0]}, r"targets\.dense_1\.scale: 0\.0 is not above 0"),
        ({"mean": [1.0], "scale": [1.0]}, r"targets\.dense_1\.mean: its shape is \(1,\), not \(2,\)"),
        ({"mean": [1.0, 2.0], "scale": [1.0]}, r"targets\.dense_1\.scale: its shape is \(1,\), not \(2,\)"),
        ({"mean": [1.0, 2.0]}, r"targets\.dense_1\.scale is missing"),
        ({"mean": [1.0, 2.0], "scale": ["a"]}, r"targets\.dense_1"),
        ({"mean": 1.0, "other": []}, r"targets\.dense_1"),
    ],
)
def test_damaged_figures_are_refused(tmp_path, figures, message):
    path = tmp_path / "m.safetensors"
    save_model(path, model_of())
    metadata = {name: text for name, text in model_of().metadata.items() if name != "checksum"}
    save_file(load_file(path), path, {**metadata, "targets": json.dumps({"dense_1": ["y", [], figures]})})
    with pytest.raises(ModelError, match=message):
        load_model(path)
