"""Job files: all errors are reported at once, in plain words, with path and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.spec.document import MAXIMUM_BYTES, parse
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.reading import open_job_file, parse_job, read_job_file
from raydient.spec.validation import validate_job

GOOD = """\
display_name: digits
dataset:
  uri: digits.csv
  label: digit
network:
  layers:
    - dense: {units: 64, activation: relu}
    - flatten:
    - activation: {function: {leaky_relu: {negative_slope: 1e-1}}}
    - dense: {units: 10, kernel_initializer: he_normal}
  loss: softmax_cross_entropy
training:
  epochs: 30
  batch_size: 128
  optimizer: {adam: {learning_rate: 3e-3}}
"""


ADAM = "optimizer: {adam: {learning_rate: 3e-3}}"


def errors(text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(InvalidSpec) as caught:
        parse_job(text)
    return [(e.line, e.path, e.message) for e in caught.value.errors]


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_a_good_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("\ufeff" + GOOD, encoding="utf-8")
    spec = read_job_file(path)
    assert spec.dataset.uri == "digits.csv"
    assert [layer.kind for layer in spec.network.layers] == ["dense", "flatten", "activation", "dense"]
    assert spec.network.layers[2].value.function.value.negative_slope == 0.1
    assert spec.training.optimizer.value.learning_rate == 0.003
    assert spec.training.seed == 0
    assert validate_job(spec.canonical()) == spec


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "words"),
    [
        ("units: 64", "units: 0", 7, "network.layers[0].dense.units", ["0", "at least 1"]),
        ("units: 64", "units: -3", 7, "network.layers[0].dense.units", ["-3", "at least 1"]),
        ("units: 64", 'units: "64"', 7, "network.layers[0].dense.units", ['"64"', "whole number", "without quotes"]),
        ("units: 64", "units: 6.5", 7, "network.layers[0].dense.units", ["6.5", "whole number"]),
        ("units: 64", "units: true", 7, "network.layers[0].dense.units", ["true", "whole number"]),
        ("units: 64", "units:", 7, "network.layers[0].dense.units", ["nothing is given"]),
        ("units: 64", "unit: 64", 7, "network.layers[0].dense.unit", ["unknown key", "units"]),
        ("units: 64", f"units: {'9' * 5000}", 7, "network.layers[0].dense.units", ["whole number"]),
        ("activation: relu", "activation: rely", 7, "network.layers[0].dense.activation", ['"rely"', "relu"]),
        ("softmax_cross_entropy", "softmax", 11, "network.loss", ['"softmax"', "did you mean softmax_cross_entropy?"]),
        (
            "activation: relu",
            "activation: {relu: {a: 1}}",
            7,
            "network.layers[0].dense.activation.relu.a",
            ["no settings"],
        ),
        ("- flatten:", "- flaten:", 8, "network.layers[1]", ['"flaten"', "did you mean flatten?"]),
        ("- flatten:", "- zzz:", 8, "network.layers[1]", ["known here: dense, flatten, reshape"]),
        ("- flatten:", "- 7", 8, "network.layers[1]", ["7 is not a mapping", "nor one of the names dense, flatten, "]),
        ("- flatten:", "- {}", 8, "network.layers[1]", ["exactly one of dense, flatten, reshape"]),
        ("- flatten:", "- {flatten: , dense: {units: 1}}", 8, "network.layers[1]", ["exactly one"]),
        ("- flatten:", "- {flatten: {name: dense_1}}", 6, "network.layers", ['both called "dense_1"']),
        ("- flatten:", "- {flatten: {name: Upper}}", 8, "network.layers[1].flatten.name", ['"Upper"', "lower-case"]),
        ("  loss: softmax_cross_entropy\n", "", 5, "network.loss", ["is missing"]),
        ("  uri: digits.csv\n", "", 2, "dataset.uri", ["is missing"]),
        ("uri: digits.csv", "uri: ''", 3, "dataset.uri", ["empty"]),
        ("uri: digits.csv", f"uri: {'x' * 5000}", 3, "dataset.uri", ["longer than 4096"]),
        ("uri: digits.csv", "uri: []", 3, "dataset.uri", ["[] is not text"]),
        ("uri: digits.csv", "uri: [3, b.csv]", 3, "dataset.uri[0]", ["3 is not text"]),
        ("uri: digits.csv", "uri: [a.csv, ''\n  ]", 3, "dataset.uri[1]", ["empty"]),
        ("uri: digits.csv", "uri: [a.csv, b.csv, a.csv]", 3, "dataset.uri", ['"a.csv" is named twice']),
        ("uri: digits.csv", "uri: [a, b]\n  validation: {uri: b}", 3, "dataset.uri", ['"b" is a file of the held-out']),
        ("label: digit", "validation: {uri: [a, 3]}", 4, "dataset.validation.uri[1]", ["3 is not text"]),
        ("label: digit", "validation: {further_uris: [a]}", 4, "dataset.validation.further_uris", ["needs `uri`"]),
        ("label: digit", "label: 7", 4, "dataset.label", ["7 is not text", "in quotes"]),
        ("label: digit", "standardize: yes", 4, "dataset.standardize", ['"yes"', "write true"]),
        ("label: digit", "split: {test: 1}", 4, "dataset.split.test", ["1 is too large", "below 1"]),
        ("label: digit", "split: {test: .nan}", 4, "dataset.split.test", ["NaN"]),
        ("label: digit", "features: [a, 3]", 4, "dataset.features[1]", ["3 is not text"]),
        ("label: digit", "features: [a, b, a]", 4, "dataset.features", ['"a" is named twice']),
        ("label: digit", "features: [a, y]", 4, "dataset.features", ['"y" is the label']),
        ("label: digit", "features: {a: b}", 4, "dataset.features", ["not a list"]),
        ("epochs: 30", "epochs: 1e3", 13, "training.epochs", ["1000.0 is not a whole number"]),
        ("epochs: 30", f"epochs: {2**31}", 13, "training.epochs", ["at most 2147483647"]),
        ("epochs: 30", "microbatches: 129", 13, "training.microbatches", ["129", "batch_size, 128"]),
        ("3e-3", "0", 15, "training.optimizer.adam.learning_rate", ["above 0"]),
        ("3e-3", ".inf", 15, "training.optimizer.adam.learning_rate", ["finite"]),
        ("3e-3", "fast", 15, "training.optimizer.adam.learning_rate", ['"fast" is not a number']),
        ("adam: {learning_rate: 3e-3}", "sgd: {nesterov: true}", 15, "training.optimizer.sgd.nesterov", ["momentum"]),
        ("adam: {learning_rate: 3e-3}", "", 15, "training.optimizer", ["exactly one of sgd, adagrad"]),
        (ADAM, "clipping: {global_norm: {limit: 0}}", 15, "training.clipping.global_norm.limit", ["above 0"]),
        (ADAM, "weight_decay: {}", 15, "training.weight_decay.rate", ["missing"]),
        (
            ADAM,
            "optimizer: adamw\n  weight_decay: {rate: 1}",
            16,
            "training.weight_decay",
            ["adamw has a weight_decay of"],
        ),
        (ADAM, "clipping: {values: }", 15, "training.clipping.values.limit", ["missing"]),
        (
            ADAM,
            "clipping: {norm: {limit: 1}}",
            15,
            "training.clipping",
            ["did you mean layer_norm"],
        ),
        ("epochs: 30", "batch_size: 128", 14, "training.batch_size", ["given twice", "line 13"]),
        ("display_name: digits", "2024: x", 1, "2024", ["unknown key"]),
        ("display_name: digits", "labels: {a: 1}", 1, "labels.a", ["1 is not text"]),
        ("display_name: digits", "resources:", 1, "resources", ["nothing is given"]),
    ],
)
def test_one_mistake_is_one_error(old: str, new: str, line: int, path: str, words: list[str]) -> None:
    broken = errors(changed(old, new))
    assert [(actual_line, actual_path) for actual_line, actual_path, _ in broken] == [(line, path)]
    for word in words:
        assert word in broken[0][2]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("units: 64", "units: 0").replace("uri:", "url:").replace("epochs: 30", "epochs: 0")
    assert [(line, path) for line, path, _ in errors(text)] == [
        (3, "dataset.url"),
        (7, "network.layers[0].dense.units"),
        (13, "training.epochs"),
    ]


def test_settings_that_are_not_indented_are_recognized() -> None:
    broken = errors(changed("- dense: {units: 64, activation: relu}", "- dense:\n      units: 64"))
    assert broken == [(8, "network.layers[0].units", "belongs to dense: indent it further")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "empty"),
        ("# nothing\n", None, "empty"),
        ("- a\n", 1, "not a mapping"),
        ("a: [1,\n", 2, "YAML"),
        ("a: 1\nb:\t- 2\n", 2, "YAML"),
        ("a: 1\n---\nb: 1\n", 2, "another document"),
        ("a: &x 1\nb: *x\n", 2, "alias *x"),
        ("a: !!python/object/apply:os.system [true]\n", 1, "refused"),
        ("a: !!timestamp 2024-01-01\n", 1, "refused"),
        ("a: !!int x\n", 1, "refused"),
        ("a: !!set {b}\n", 1, "refused"),
        ("\n? [a]\n: 1\n", 2, "a key is text"),
        ("a: 1\nb: \x07\n", 2, "special characters"),
        ("[" * 5000, 1, "nested too deeply"),
        ("a: " * 5000, 1, "YAML"),
    ],
)
def test_yaml_with_tags_or_aliases_is_refused(text: str, line: int | None, words: str) -> None:
    [(found_line, path, message)] = errors(text)
    assert (found_line, path) == (line, "")
    assert words in message


def test_aliases_that_expand_without_bound_are_refused() -> None:
    laughs = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    [(line, _, message)] = errors(laughs)  # expanded it would be 9**39 items
    assert line == 2
    assert "alias *a0" in message


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidSpec, match="larger than 1 MiB"):
        read_job_file(path)
    with pytest.raises(InvalidSpec, match="larger than 1 MiB"):
        parse("#" * (MAXIMUM_BYTES + 1))


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"\xff\xfe\xfd", "UTF-8"), ("folder", "directory")]
)
def test_a_file_that_cannot_be_read_is_an_invalid_job(tmp_path: Path, content: bytes | str | None, words: str) -> None:
    path = tmp_path / "job.yaml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises(InvalidSpec, match=words):
        read_job_file(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("012", 12),
        ("+7", 7),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("no", "no"),
        ("y", "y"),
        ("True", True),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    scalar = parse(f"a: {text}").data["a"]
    assert scalar == value
    assert type(scalar) is type(value)


def test_errors_of_later_checks_get_the_line_of_their_field(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(GOOD)
    file = open_job_file(path)
    located = file.locate([FieldError("training.seed", "unlucky"), FieldError("dataset.label", "no such column")])
    assert [e.line for e in located.errors] == [4, 12]
    assert str(located.errors[0]) == "line 4: dataset.label: no such column"


scalars = st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.sampled_from(["", "relu", "dense", "1"])
keys = st.sampled_from(["dense", "units", "name", "activation", "relu", "flatten", "loss", "sgd", "momentum", "x"])
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
places = st.sampled_from(
    [
        (),
        ("dataset",),
        ("network", "layers"),
        ("network", "loss"),
        ("training",),
        ("training", "optimizer"),
        ("labels",),
    ]
)


@given(places, anything)
def test_any_value_anywhere_is_valid_or_refused_in_plain_words(place: tuple[str, ...], thing: object) -> None:
    data = parse(GOOD).data
    target: dict[str, object] = {"job": data}
    for step in ("job", *place)[:-1]:
        target = target[step]  # type: ignore[assignment]
    target[("job", *place)[-1]] = thing
    data = target["job"] if not place else data
    result = found_in(data)
    if isinstance(result, JobSpec):
        assert validate_job(result.canonical()) == result
        return
    assert result
    for error in result:
        assert error.path.startswith(place[0] if place else "")
        assert "Input" not in error.message
        assert "Value error" not in error.message


def found_in(data: object) -> JobSpec | tuple[FieldError, ...]:
    try:
        return validate_job(data)
    except InvalidSpec as error:
        return error.errors
