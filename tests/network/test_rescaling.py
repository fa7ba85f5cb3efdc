"""Images: their values become numbers from 0 to 1, in arrays, in the model file and in ONNX."""

import io
import json

import numpy as np
import onnxruntime
import pytest

from raydient.spec.network import Network
from raydient.workers.network import (
    Kind,
    Model,
    Preprocessing,
    Rescaling,
    Scaling,
    Target,
    build,
    load_model,
    preprocessing_problems,
    save_model,
)
from raydient.workers.network.onnx_export import write_onnx

SHAPE = (4, 5, 3)
X = np.random.default_rng(0).integers(0, 256, (7, *SHAPE), np.uint8)
IMAGES = Preprocessing(SHAPE, ("image",), transforms=(Rescaling.to_unit(),), kind=Kind.INTEGER, is_image=True)


def model_of(preprocessing: Preprocessing) -> Model:
    """A model of one convolution."""
    layers = [{"conv2d": {"filters": 2, "kernel_size": 3}}, "flatten", {"dense": {"units": 2}}]
    specification = Network.model_validate({"layers": layers, "loss": "mean_squared_error"})
    network = build(specification, {"input": SHAPE})
    weights = np.random.default_rng(1).normal(0, 0.5, network.layout.size).astype(np.float32)
    return Model.plain(specification, preprocessing, weights, Target("y"))


def test_values_are_divided_and_rounded_once() -> None:
    assert np.array_equal(IMAGES.apply(X), (X / 255).astype(np.float32))
    assert np.array_equal(IMAGES.apply(X.astype(np.float32)), IMAGES.apply(X))
    assert IMAGES.apply(np.full((1, *SHAPE), 255)).max() == 1


@pytest.mark.parametrize("standardized", [False, True])
def test_model_file_and_onnx_take_the_values_of_pixels(tmp_path, standardized) -> None:
    scaling = (Scaling.fit(X / 255),) if standardized else ()
    preprocessing = Preprocessing(SHAPE, ("image",), transforms=(Rescaling.to_unit(), *scaling), is_image=True)
    model = model_of(preprocessing)
    expected = model.predict(X)
    save_model(tmp_path / "m.safetensors", model)
    read = load_model(tmp_path / "m.safetensors")
    assert read.input.is_image
    assert np.array_equal(read.predict(X), expected)
    file = io.BytesIO()
    write_onnx(model, file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    assert [one.type for one in session.get_inputs()] == ["tensor(uint8)"]
    np.testing.assert_allclose(session.run(None, {"input": X})[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [4, 5, 2]}, r"inputs.input.shape: \(4, 5, 2\) is no shape of an image"),
        ({"shape": [20, 3]}, "inputs.input.shape"),
        (
            {"transforms": [{"kind": "rescaling", "divisor": [0.0]}]},
            r"transforms\[0\].divisor: the number is not above 0",
        ),
        (
            {"transforms": [{"kind": "rescaling", "divisor": [1.0, 2.0]}]},
            r"transforms\[0\].divisor: its shape is \(2,\)",
        ),
        ({"transforms": [{"kind": "rescaling"}]}, r"transforms\[0\].divisor is missing"),
    ],
)
def test_a_damaged_field_is_named(change, words) -> None:
    from raydient.workers.network.signature import MetadataError, Signature, read_signature

    metadata = Signature({"input": IMAGES}, {"dense_1": Target("y")}).metadata
    inputs = json.loads(metadata["inputs"])
    inputs["input"] |= change
    with pytest.raises(MetadataError, match=words):
        read_signature({"format": "raydient-model/3", **metadata, "inputs": json.dumps(inputs)})


def test_weights_of_images_do_not_begin_a_job_of_arrays() -> None:
    from raydient.workers.network import Signature

    start = Signature({"input": IMAGES}, {"out": Target("y")})
    array = Preprocessing(SHAPE, ("x",), kind=Kind.INTEGER)
    (problem,) = preprocessing_problems(start, {"input": array}, {})
    assert problem == "was trained on images, this job has an array that is no image: the same kind is needed"
    assert not list(preprocessing_problems(start, {"input": IMAGES}, {}))
