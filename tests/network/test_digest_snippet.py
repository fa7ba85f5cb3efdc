"""The function in docs/determinism.md computes the digest of a model file without raydient."""

import re
from pathlib import Path

import numpy as np
import pytest

from raydient.workers.network import Model, save_model

from .training_step import initial

PAGE = Path(__file__).parents[2] / "docs" / "determinism.md"
LAYERS = [
    {"dense": {"units": 4, "name": "second"}},
    {"activation": {"function": "tanh"}},
    {"dense": {"units": 3, "name": "first", "use_bias": False}},
]


@pytest.fixture(scope="module")
def digest():
    """Return the function of the page."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert "raydient" not in code
    names = {}
    exec(code, names)
    return names["digest"]


@pytest.fixture
def model(make_network):
    network = make_network(LAYERS, input_shape=(2,))
    return Model.plain(network.spec, (2,), initial(network))


def test_it_agrees_with_the_digest_of_the_model(digest, model, tmp_path):
    save_model(tmp_path / "model.safetensors", model)
    assert digest(tmp_path / "model.safetensors") == model.digest


def test_a_changed_bit_changes_it(digest, model, tmp_path):
    before = model.digest
    model.weights.view(np.uint32)[3] ^= 1
    save_model(tmp_path / "model.safetensors", Model.plain(model.specification, (2,), model.weights))
    assert digest(tmp_path / "model.safetensors") != before
