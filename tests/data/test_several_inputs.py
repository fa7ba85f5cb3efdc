"""Named inputs and labels, of tables and of arrays; categories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.workers.network import Scaling
from raydient.workers.network.preprocessing import categories

TABLE = "age,town,sex,income,kind,price\n" + "".join(
    f"{20 + i},{('Ulm', 'Bonn', 'Kiel')[i % 3]},{'mf'[i % 2]},{1000 * i},{('b', 'a')[i % 2]},{i}.5\n" for i in range(9)
)
INPUTS = {"numbers": ["income", "age"], "town": {"columns": "town", "categories": True}}
LABELS = {"kind": "kind", "price": "price"}
LOSSES = {"kind": "softmax_cross_entropy", "price": "mean_squared_error"}
ARRAYS = {
    "pixels": np.arange(24.0).reshape(4, 3, 2),
    "words": np.array([["a", "c"], ["b", "a"], ["c", "c"], ["a", "b"]]),
    "digit": np.array([0, 1, 2, 1]),
}


def test_columns_by_name(load_file):
    data = load_file(TABLE, LOSSES, inputs=INPUTS, labels=LABELS)
    assert data.input_shapes == {"numbers": (2,), "town": (1,)}
    assert data.train.xs["numbers"][2].tolist() == [2000, 22]
    assert data.train.xs["town"][:3].tolist() == [[2], [0], [1]]
    assert data.train.xs["town"].dtype == np.float32
    assert data.inputs["town"].vocabulary == ("Bonn", "Kiel", "Ulm")
    assert data.train.ys["predicts_kind"].tolist() == [1, 0] * 4 + [1]
    assert data.train.ys["predicts_price"][3].tolist() == [3.5]
    assert {name: (t.label, t.classes) for name, t in data.targets.items()} == {
        "predicts_kind": ("kind", ("a", "b")),
        "predicts_price": ("price", ()),
    }


def test_rows_stay_together_and_categories_are_those_of_the_whole_file(load_file):
    data = load_file(TABLE, LOSSES, inputs=INPUTS, labels=LABELS, split={"test": 0.4}, standardize=True)
    assert data.inputs["town"].vocabulary == ("Bonn", "Kiel", "Ulm")
    assert data.inputs["town"].scaling is None
    scaling = data.inputs["numbers"].scaling
    for part in (data.train, data.test):
        ages = part.xs["numbers"][:, 1] * scaling.scale[1] + scaling.mean[1]
        rows = np.rint(ages).astype(int) - 20
        assert part.ys["predicts_price"][:, 0].tolist() == (rows + 0.5).tolist()
        assert part.xs["town"][:, 0].tolist() == np.array([2, 0, 1])[rows % 3].tolist()


def test_arrays_by_name(load_file):
    inputs = {"image": "pixels", "text": {"columns": ["words"], "categories": True}}
    data = load_file(ARRAYS, {"y": "softmax_cross_entropy"}, inputs=inputs, labels={"y": "digit"})
    assert data.input_shapes == {"image": (3, 2), "text": (2,)}
    assert data.train.xs["text"].tolist() == [[0, 2], [1, 0], [2, 2], [0, 1]]
    assert data.inputs["image"].feature_names == ()
    assert sorted(data.arrays()) == [
        *("test/x/image", "test/x/text", "test/y/predicts_y"),
        *("train/x/image", "train/x/text", "train/y/predicts_y"),
    ]


@given(
    values=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4), min_size=1, max_size=30
    ),
    more=st.integers(1, 3),
)
def test_a_category_is_its_place_in_the_sorted_list(values, more):
    vocabulary = sorted(set(values))
    raw = np.array([values] * more)
    assert categories(raw, tuple(vocabulary)).tolist() == [[vocabulary.index(value) for value in values]] * more


def test_numbers_are_categories_by_their_text():
    assert categories(np.array([[3.0], [20.0]]), ("20", "3")).tolist() == [[1], [0]]
    with pytest.raises(ValueError, match=r"'4' is none of the 2 categories \(sample 2\)"):
        categories(np.array([[3], [4]]), ("20", "3"))


def test_each_input_is_standardized_by_itself(load_file):
    inputs = {"a": "age", "both": ["age", "income"]}
    data = load_file(TABLE, {"p": "mean_squared_error"}, inputs=inputs, labels={"p": "price"}, standardize=True)
    expected = Scaling.fit(np.arange(20.0, 29)[:, np.newaxis])
    assert data.inputs["a"].scaling.mean.tolist() == expected.mean.tolist() == [data.inputs["both"].scaling.mean[0]]


@pytest.mark.parametrize(
    ("content", "settings", "path", "message"),
    [
        (TABLE, {"inputs": {"x": ["age", "incme"]}}, "dataset.inputs.x.columns[1]", "did you mean 'income'?"),
        (TABLE, {"labels": {"kind": "knd", "price": "price"}}, "dataset.labels.kind", "did you mean 'kind'?"),
        (
            TABLE,
            {"inputs": {"x": ["age", "town"]}},
            "dataset.inputs.x.columns[1]",
            "'Ulm' in row 1 (line 2) is not a number",
        ),
        (
            TABLE.replace("Bonn", "NA", 1),
            {},
            "dataset.inputs.town.columns[0]",
            "'NA' in row 2 (line 3) stands for",
        ),
        (TABLE, {"labels": {"kind": "kind", "price": "sex"}}, "dataset.labels.price", "'sex': 'm' in row 1 is text"),
        (TABLE.replace("20,", "1e39,", 1), {}, "dataset.inputs.numbers", "too large for float32"),
    ],
)
def test_errors_of_a_table(errors_of, content, settings, path, message):
    errors = dict(errors_of(content, LOSSES, **{"inputs": INPUTS, "labels": LABELS, **settings}))
    assert path in errors, errors
    assert message in errors[path]


@pytest.mark.parametrize(
    ("inputs", "arrays", "path", "message"),
    [
        ({"image": ["pixels", "words"]}, {}, "dataset.inputs.image.columns", "in one array: name one"),
        ({"image": "words"}, {}, "dataset.inputs.image.columns[0]", "but must be numbers"),
        ({"image": "pixels"}, {"pixels": np.ones(3)}, "dataset.inputs.image.columns[0]", "both need one row"),
        ({"image": "pixels"}, {"pixels": np.full(4, np.nan)}, "dataset.inputs.image.columns[0]", "nan in row 1"),
        ({"image": "pixel"}, {}, "dataset.inputs.image.columns[0]", "did you mean 'pixels'?"),
    ],
)
def test_errors_of_arrays(errors_of, inputs, arrays, path, message):
    settings = {"inputs": inputs, "labels": {"y": "digit"}}
    errors = dict(errors_of({**ARRAYS, **arrays}, {"y": "softmax_cross_entropy"}, **settings))
    assert path in errors, errors
    assert message in errors[path]


def test_a_column_is_no_number_if_it_is_a_label_or_categories(errors_of):
    words = "so it cannot be a number"
    ((path, message),) = errors_of("a,y\n1,2\n3,4\n", "mean_squared_error", inputs={"n": ["a", "y"]})
    assert (path, message) == ("dataset.inputs.n.columns[1]", f"column 'y' is a label too, {words}")
    inputs = {"n": "a", "c": {"columns": "a", "categories": True}}
    ((path, message),) = errors_of("a,y\n1,2\n3,4\n", "mean_squared_error", inputs=inputs)
    assert path == "dataset.inputs.n.columns[0]"
    assert message == f"column 'a' is categories or a text in another input too, {words}"
