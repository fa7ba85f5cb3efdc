"""Model files that are damaged: each is refused with its name and the field, or predicts the same."""

import json
from functools import reduce

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from raydient.spec.columns import Bounds, DateForm, Impute
from raydient.workers.network import (
    Bounding,
    Dates,
    Imputation,
    Logarithm,
    Model,
    ModelError,
    Preprocessing,
    Scaling,
    Target,
    load_model,
    save_model,
)

CHANGES = 500
TOKENS = {"kind": "byte_pair", "length": 3, "vocabulary": ["a", "b", "ab"], "merges": [["a", "b"]], "lowercase": True}
TEXT = {"shape": [1], "columns": ["a"], "transforms": []}
X = np.array([[1.5, 2, 30, 4], [np.nan, 1, 20, 5], [3, 7, 10, 6]])
DAMAGE = [None, True, "text", {}, [], [[1]], [0.5, "a"], float("nan"), float("inf"), 10**30, 10**400, -1, 0]


@pytest.fixture
def path(tmp_path, make_network):
    """A file with every kind of step."""
    rules = {0: Impute.model_validate("mean"), 2: Impute.model_validate({"constant": {"value": 3}})}
    steps = [
        Imputation.fit(X, rules, [0]),
        Bounding.of({1: Bounds(min=1.5), 3: Bounds(min=0, max=5)}),
        Logarithm(np.array([2])),
    ]
    scaled = reduce(lambda x, step: step.apply(x), steps, X)
    steps.append(Scaling.fit_each(scaled, ["standardize", "min_max", "none", "standardize", "none"]))
    steps.append(Dates.of({0: DateForm(parts=("year", "hour")), 2: DateForm(days_since="2000-01-01")}))
    network = make_network([{"dense": {"units": 3}}], input_shape=(6,))
    weights = np.linspace(-1, 1, network.layout.size, dtype=np.float32)
    model = Model.plain(
        network.spec, Preprocessing((4,), tuple("abcd"), True, tuple(steps)), weights, Target("y", tuple("pqr"))
    )
    save_model(tmp_path / "model.safetensors", model)
    return tmp_path / "model.safetensors"


def outcome(path):
    """The predictions and the names of columns and classes, or None if the file is refused."""
    try:
        model = load_model(path)
    except ModelError:
        return None
    names = (model.input.columns, model.target.classes, model.target.label)
    return model.predict(X).tobytes(), names


def test_a_changed_byte_of_the_metadata_changes_no_prediction(path):
    content, expected, generator = path.read_bytes(), outcome(path), np.random.default_rng(5)
    size, refused = 8 + int.from_bytes(content[:8], "little"), 0
    for _ in range(CHANGES):
        data, place = bytearray(content), int(generator.integers(size))
        match generator.integers(3):
            case 0:
                data[place] = generator.integers(256)
            case 1:
                data[place] = ord("0123456789.-e[]{},:\"'ntf"[generator.integers(22)])
            case _:
                data[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(data)
        result = outcome(path)
        assert result in (None, expected), data[max(0, place - 40) : place + 40]
        refused += result is None
    assert refused > CHANGES / 2


def rewrite(path, change):
    """Change the data of the only input in a file, which then has no checksum, as those of earlier versions."""
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    inputs = json.loads(metadata["inputs"])
    change(inputs["input"])
    del metadata["checksum"]
    save_file(load_file(path), path, {**metadata, "inputs": json.dumps(inputs)})


def test_a_value_of_another_type_is_refused_or_changes_nothing(path):
    content, expected, generator = path.read_bytes(), outcome(path), np.random.default_rng(6)

    def change(value):
        """Replace a value that no other number may stand for, or one in a list of them; or remove a key."""
        while True:
            keys = list(value) if isinstance(value, dict) else range(len(value))
            key = keys[generator.integers(len(keys))]
            if isinstance(value[key], dict | list) and value[key] and generator.random() < 0.8:
                value = value[key]
                continue
            if isinstance(value, dict) and generator.random() < 0.2:
                del value[key]
                return
            damage = DAMAGE[generator.integers(len(DAMAGE))]
            is_other_number = isinstance(value[key], int | float) and type(damage) is int and damage < 10**40
            value[key] = None if is_other_number else damage
            return

    for _ in range(CHANGES):
        path.write_bytes(content)
        rewrite(path, change)
        result = outcome(path)
        assert result is None or result[0] == expected[0]


@pytest.mark.parametrize(
    ("step", "name", "value"),
    [
        (0, "places", [2, 0]),
        (0, "places", [0, 4]),
        (0, "places", [-1, 2]),
        (0, "places", [0.5, 2]),
        (0, "values", [1.0]),
        (0, "values", [1.0, None]),
        (0, "values", [1.0, float("nan")]),
        (0, "values", None),
        (0, "indicators", [1]),
        (0, "indicators", [[0]]),
        (0, "rules", ["mode"]),
        (0, "rules", ["mean", 3]),
        (1, "places", [1, 9]),
        (1, "low", [1.5, 10**400]),
        (1, "high", [1.0, 5.0]),
        (2, "places", [7]),
        (2, "kind", "logarithms"),
        (2, "kind", "bounding"),
        (2, "kind", ["logarithm"]),
        (3, "mean", [[0.0] * 5]),
        (3, "mean", [0.0] * 4),
        (3, "mean", [0.0, 0.0, 0.0, 0.0, True]),
        (3, "scale", [1.0, 1.0, -1.0, 1.0, 1.0]),
        (3, "scale", [1.0, 0.0, 1.0, 1.0, 1.0]),
        (3, "scale", "1"),
        (3, "kinds", ["robust"] * 5),
        (3, "kinds", ["standardize"] * 3),
        (4, "places", [0, 2, 0]),
        (4, "places", [0, 0, 5]),
        (4, "parts", ["year"]),
        (4, "places", []),
        (4, "parts", ["year", "week", "days_since"]),
        (4, "parts", ["year", "year", "days_since"]),
        (4, "parts", [["year"], ["hour"], ["days_since"]]),
        (4, "origins", [0.0, 0.0]),
        (4, "origins", [0.0, 0.0, float("nan")]),
    ],
)
def test_the_field_of_a_step_is_named(path, step, name, value):
    rewrite(path, lambda data: data["transforms"][step].update({name: value}))
    with pytest.raises(
        ModelError, match=rf"model\.safetensors has damaged metadata: inputs\.input\.transforms\[{step}\]\.{name}"
    ):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [3]}, "inputs.input.columns: 4 columns make no sample of shape"),
        ({"shape": [4.5]}, "inputs.input.shape.0"),
        ({"columns": ["a", "b", "c", "a"]}, "inputs.input.columns: one name is there twice"),
        ({"is_table": "yes"}, "inputs.input.is_table"),
        ({"transforms": {}}, "inputs.input.transforms"),
        ({"transforms": None}, "inputs.input.transforms is missing"),
        ({"kind": "date"}, "inputs.input.kind"),
        ({"hashing": [1, 0]}, "inputs.input.hashing.0"),
        ({"hashing": [9, 2**40]}, "inputs.input.hashing.1"),
        ({"hashing": [9, 0], "vocabulary": ["a"]}, "inputs.input.hashing: there is a vocabulary too"),
        ({"one_hot": True}, "inputs.input.one_hot: the values are no categories"),
        ({"tokens": {**TOKENS, "kind": "sentence"}}, "inputs.input.tokens.kind"),
        ({"tokens": {**TOKENS, "length": 0}}, "inputs.input.tokens.length"),
        ({"tokens": TOKENS}, "inputs.input.tokens: the values are no texts, one a sample"),
        ({**TEXT, "tokens": {**TOKENS, "vocabulary": ["a", "b", "a"]}}, "inputs.input.tokens.vocabulary: one token is"),
        ({**TEXT, "tokens": {**TOKENS, "merges": [["a", "c"]]}}, "inputs.input.tokens.merges: a part of one is no"),
        ({**TEXT, "tokens": {**TOKENS, "merges": [["a", "b"]] * 2}}, "inputs.input.tokens.merges: one is there twice"),
        ({"vocabulary": None}, "inputs.input.vocabulary"),
    ],
)
def test_the_field_of_an_input_is_named(path, change, message):
    rewrite(path, lambda data: data.update(change))
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert f"model.safetensors has damaged metadata: {message}" in str(caught.value)
