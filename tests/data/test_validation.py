"""Held-out data of their own: another file, or other arrays of an NPZ file."""

import numpy as np
import pytest

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Output
from raydient.workers.data import load

TRAINING = "a,b,y\n1,10,no\n3,30,yes\n5,20,no\n"
FILES = {"uri": "t.csv", "validation": {"uri": "v.csv"}}
ARRAYS = {"x_train": np.eye(3), "y_train": np.array([0, 1, 2]), "x_test": np.ones((2, 3)), "y_test": np.array([2, 0])}
IN_ONE_FILE = {
    "uri": "m.npz",
    "features": ["x_train"],
    "label": "y_train",
    "validation": {"arrays": {"x_train": "x_test", "y_train": "y_test"}},
}


@pytest.fixture
def load_two(tmp_path):
    """Loads CSV files of these contents, the held-out one with the name `own`."""

    def load_two(training, held_out, loss="softmax_cross_entropy", own="v.csv", **settings):
        (tmp_path / "t.csv").write_text(training)
        (tmp_path / own).write_text(held_out)
        spec = DatasetSpec.model_validate({**FILES, **settings})
        outputs = [Output(layer="out", label="label", loss=loss)]
        return load(spec, tmp_path / "t.csv", outputs, 1, validation=tmp_path / own)

    return load_two


@pytest.fixture
def load_arrays(tmp_path):
    def load_arrays(arrays, own=None, **settings):
        np.savez(tmp_path / "m.npz", **arrays)
        np.savez(tmp_path / "own.npz", **(own or {}))
        spec = DatasetSpec.model_validate({**IN_ONE_FILE, **settings})
        outputs = [Output(layer="out", label="label", loss="softmax_cross_entropy")]
        return load(spec, tmp_path / "m.npz", outputs, 1, validation=tmp_path / "own.npz" if own else None)

    return load_arrays


def errors_of(call, *arguments, **settings):
    with pytest.raises(InvalidSpec) as caught:
        call(*arguments, **settings)
    return [(error.path, error.message) for error in caught.value.errors]


def test_everything_is_fitted_to_the_training_data(load_two):
    data = load_two(TRAINING, "y,b,a\nyes,20,100\n", standardize=True)
    alone = load_two(TRAINING, "y,b,a\nyes,-20,-1\n", standardize=True)
    assert data.train.x.tolist() == alone.train.x.tolist()
    assert (data.train.rows, data.test.rows, data.held_out) == (3, 1, None)
    assert data.train.y.tolist() == [0, 1, 0]
    assert data.test.y.tolist() == [1], "the number of the class in the training data"
    deviations = np.std([1, 3, 5]), np.std([10, 30, 20])
    np.testing.assert_allclose(data.test.x, [[(100 - 3) / deviations[0], (20 - 20) / deviations[1]]], rtol=1e-6)
    assert data.target.classes == ("no", "yes")


def test_the_seed_does_not_matter_and_no_row_is_held_out_of_the_training_data(load_two):
    data = load_two(TRAINING, TRAINING)
    assert data.train.x.tolist() == data.test.x.tolist() == [[1, 10], [3, 30], [5, 20]]


def test_missing_values_are_filled_and_categories_numbered_as_in_the_training_data(load_two):
    inputs = {"n": "a", "c": {"columns": "b", "categories": True}}
    data = load_two(TRAINING, "a,b,y\n,30,no\n", inputs=inputs, impute="mean")
    assert data.test.xs["n"].tolist() == [[3.0]]
    assert data.test.xs["c"].tolist() == [[2.0]]


def test_labels_are_encoded_for_the_loss(load_two):
    two = load_two(TRAINING, "a,b,y\n1,1,yes\n", loss="binary_cross_entropy")
    assert two.test.y.tolist() == [[1.0]]
    assert two.test.y.dtype == two.train.y.dtype
    numbers = load_two("a,y\n1,0.5\n2,1\n", "a,y\n1,7\n", loss="mean_squared_error")
    assert numbers.test.y.tolist() == [[7.0]]
    assert load_two("a,y\n1,0\n2,1\n", "a,y\n1,1\n").test.y.tolist() == [1]
    weighted = load_two("a,y,w\n1,0,1\n2,1,2\n", "a,y,w\n1,1,0.5\n", sample_weight="w")
    assert weighted.test.weights.tolist() == [0.5]


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (
            "a,b,y\n1,1,no\n1,1,maybe\n",
            "'y': 'maybe' in row 2 does not occur in the training data, which have 'no', 'yes'",
        ),
        ("a,b\n1,1\n", "'y' is not a column of the file"),
        ("a,y\n1,no\n", "column 'b' of the training data is missing"),
        ("a,b,c,y\n1,1,1,no\n", "column 'c' is not in the training data: leave out what"),
        ("a,b,name,y\n1,1,bob,no\n", "there are 3 columns besides the label, in the training data 2"),
        ("a,b,y\n1,1,no\n1,x,no\n", "column 'b': 'x' in row 2 (line 3) is not a number"),
        ("a,b,y\n1,,no\n", "column 'b': row 1 (line 2) has no value"),
        ("a,b,y\n1,1e300,no\n", "column 'b': 1e+300 in row 1 is too large for float32"),
        ("a,b,y\n", "has a header but no rows"),
    ],
)
def test_errors_of_the_other_file_name_row_and_column(load_two, held_out, message):
    errors = errors_of(load_two, TRAINING, held_out)
    assert [path for path, _ in errors] == ["dataset.validation.uri"] * len(errors)
    assert message in errors[0][1]


def test_what_the_training_data_lack_is_an_error(load_two):
    categories = {"c": {"columns": "b", "categories": True}}
    ((path, message),) = errors_of(load_two, TRAINING, "a,b,y\n1,10,no\n1,11,no\n", inputs=categories)
    assert path == "dataset.validation.uri"
    assert message == "column 'b': '11' is none of the 3 categories of the training data (row 2)"
    ((path, message),) = errors_of(load_two, "a,y\n1,0\n2,1\n", "a,y\n1,0\n1,2\n")
    assert message == "'y': class 2 in row 2 does not occur in the training data"
    ((path, message),) = errors_of(load_two, "a,y\n1,0\n", "a,y\n1,x\n", loss="mean_squared_error")
    assert "'y': 'x' in row 1 is text" in message
    ((path, message),) = errors_of(load_two, "a,y,w\n1,0,1\n", "a,y,w\n1,0,-1\n", sample_weight="w")
    assert (path, message[:22]) == ("dataset.validation.uri", "'w': -1.0 in row 1 is ")


def test_errors_of_both_files_are_reported_together(load_two):
    errors = errors_of(load_two, "a,b,y\n1,x,no\n", "a,b,y\n1,1,no\n1,y,no\n")
    assert [path for path, _ in errors] == ["dataset.features", "dataset.validation.uri"]


def test_a_table_beside_arrays_is_refused(load_two):
    ((path, message),) = errors_of(load_two, TRAINING, "", own="v.npz")
    assert message == "the file (.npz) has arrays, the training data a table (.csv): both need the same kind"
    settings = {"validation": {"uri": "v.csv", "arrays": {"y": "z"}}}
    ((path, message),) = errors_of(load_two, TRAINING, TRAINING, **settings)
    assert path == "dataset.validation.arrays"
    assert "a table has no arrays" in message


def test_both_parts_in_one_file_of_arrays(load_arrays):
    data = load_arrays(ARRAYS)
    assert data.train.y.tolist() == [0, 1, 2]
    assert data.test.y.tolist() == [2, 0]
    assert data.test.x.tolist() == np.ones((2, 3)).tolist()


def test_another_file_of_arrays_with_the_same_names_or_others(load_arrays):
    own = {"x_train": np.zeros((1, 3)), "y_train": np.array([1])}
    assert load_arrays(ARRAYS, own, validation={"uri": "own.npz"}).test.y.tolist() == [1]
    own = {"x_train": np.zeros((1, 3)), "digit": np.array([1])}
    validation = {"uri": "own.npz", "arrays": {"y_train": "digit"}}
    assert load_arrays(ARRAYS, own, validation=validation).test.y.tolist() == [1]


def test_arrays_that_do_not_fit(load_arrays):
    ((path, message),) = errors_of(load_arrays, ARRAYS | {"x_test": np.ones((2, 4))})
    assert (path, message) == (
        "dataset.validation.arrays",
        "samples have shape (4,), those of the training data (3,)",
    )
    absent = {name: array for name, array in ARRAYS.items() if name != "y_test"}
    ((path, message),) = errors_of(load_arrays, absent)
    assert "'y_test' is not an array of the file" in message
    ((path, message),) = errors_of(load_arrays, ARRAYS | {"y_test": np.array([[1, 2], [0, 1]])})
    assert "a label has shape (2,), one of the training data ()" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": {"test": 0.1}}, "holds 0.1 of the rows out already"),
        ({"validation": {}}, "needs `uri`, another file, or `arrays`"),
        ({"validation": {"uri": "t.csv"}}, "is the file of the training data"),
        ({"validation": {"arrays": {"z": "w"}}}, '"z" is no array that the job reads; these are x, y'),
        ({"validation": {"arrays": {"x": "w"}}}, '"y" needs an array that the training part does not have'),
        ({"validation": {"arrays": {"x": "y", "y": "w"}}}, '"x" needs an array'),
        ({"validation": {"arrays": {"x": "w", "y": "w"}}}, '"w" is named twice'),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ValueError, match="validation") as caught:
        DatasetSpec.model_validate({**FILES, **settings})
    assert message in str(caught.value)


def test_the_written_out_form_is_valid_again():
    spec = DatasetSpec.model_validate(FILES)
    assert spec.split.test == 0
    assert DatasetSpec.model_validate(spec.canonical()) == spec
    assert spec.uris == {"dataset.uri": "t.csv", "dataset.validation.uri": "v.csv"}
    assert DatasetSpec.model_validate(IN_ONE_FILE).uris == {"dataset.uri": "m.npz"}
