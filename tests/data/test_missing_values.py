"""Missing values of files: filled as the job says, by figures of the training part; else an error with its remedy."""

import numpy as np
import pyarrow.csv
import pytest
from pydantic import ValidationError

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.values import MISSING

FILE = "a,b,y\n1,,0\n,4,1\n3,5,0\n5,NA,1\n"
REMEDY = "`impute: median` fills such values, in dataset.columns for 'b', in dataset for all"


def test_the_texts_of_missing_values_are_those_of_arrow():
    assert set(pyarrow.csv.ConvertOptions().null_values) == MISSING


def test_every_column(load_file):
    data = load_file(FILE, impute="mean")
    assert data.train.x.tolist() == [[1, 4.5], [3, 4], [3, 5], [5, 4.5]]
    assert data.input.optional_columns == ("a", "b")


def test_single_columns_stand_before_all(load_file):
    columns = {"b": {"impute": {"constant": {"value": -1}}, "indicator": True}}
    data = load_file(FILE, impute="median", columns=columns)
    assert data.train.x.tolist() == [[1, -1, 1], [3, 4, 0], [3, 5, 0], [5, -1, 1]]
    assert data.input_shapes == {"input": (3,)}


@pytest.mark.parametrize("missing", ["", "NA", '""', '"NA"', " nan ", '" "', "#N/A", "null"])
def test_the_forms_of_a_missing_value(load_file, missing):
    data = load_file(f"a,b,y\n7,{missing},0\n1,2,1\n", columns={"b": {"impute": "mean"}})
    assert data.train.x.tolist() == [[7, 2], [1, 2]]


def test_numbers_beside_missing_ones_are_the_same_as_ever(load_file):
    numbers = ["1e-3", " 400 ", "-0.0", '"12.5"', "0.1", "1e30", "123456789012345678"]
    plain = load_file("b,y\n" + "".join(f"{text},0\n" for text in numbers))
    filled = load_file("b,y\n" + "".join(f"{text},0\n" for text in numbers), impute="mean")
    np.testing.assert_array_equal(plain.train.x, filled.train.x)


def test_figures_are_those_of_the_training_part(load_file):
    values = [str(value) if value % 3 else "" for value in range(60)]
    table = "a,y\n" + "".join(f"{text},{row}\n" for row, text in enumerate(values))
    data = load_file(table, "mean_squared_error", impute="mean", standardize=True, split={"test": 0.5})
    rows = data.train.y[:, 0].astype(int)
    known = [row for row in rows if row % 3]
    (imputation, scaling) = data.input.transforms
    assert imputation.values == pytest.approx([np.mean(known)])
    assert scaling.mean == pytest.approx([np.mean(known)])
    np.testing.assert_allclose(data.train.x[rows % 3 == 0], 0, atol=1e-6)
    missing = data.test.y[:, 0].astype(int) % 3 == 0
    np.testing.assert_allclose(data.test.x[missing], 0, atol=1e-6)
    assert (np.abs(data.test.x[~missing]) > 1e-3).all()


def test_truth_values(load_file):
    data = load_file("a,y\ntrue,0\n,1\nFALSE,0\ntrue,1\n", impute="most_frequent")
    assert data.train.x.tolist() == [[1], [1], [0], [1]]


def test_arrays(load_file):
    x = np.array([[1, np.nan], [3, 4], [np.nan, 8]])
    data = load_file({"x": x, "y": np.array([0, 1, 0])}, impute="mean")
    assert data.train.x.tolist() == [[1, 6], [3, 4], [2, 8]]


@pytest.mark.parametrize(
    ("content", "settings", "path", "words"),
    [
        (FILE, {"columns": {"a": {"impute": "mean"}}}, "dataset.features", ["row 1 (line 2) has no value (2", REMEDY]),
        ("a,b,y\n1,NA,0\n", {}, "dataset.features", ["'NA' in row 1 (line 2) stands for a missing value", REMEDY]),
        ("a,b,y\n1,,0\n2,x,0\n", {"impute": "mean"}, "dataset.features", ["'x' in row 2 (line 3) is not a number"]),
        ("a,b,y\n1,,0\n2,inf,0\n", {"impute": "mean"}, "dataset.features", ["'inf' in row 2 (line 3) is not finite"]),
        ("a,b,y\n1,,0\n2,,0\n", {"impute": "mean"}, "dataset.impute", ["column 'b'", "impute a constant"]),
        (
            "a,b,y\n1,,0\n2,,0\n",
            {"impute": "mean", "columns": {"b": {"impute": "median"}}},
            "dataset.columns.b.impute",
            ["impute a constant"],
        ),
        ("a,b,y\n1,2,0\n", {"columns": {"B": {}}}, "dataset.columns.B", ["did you mean 'b'?"]),
        ("a,b,y\n1,,NA\n", {"impute": "mean"}, "dataset.label", ["'NA' in row 1 (line 2)"]),
        ({"x": np.array([1, np.nan]), "y": np.zeros(2)}, {}, "dataset.features", ["nan in row 2", "dataset.impute"]),
        ({"x": np.array([1, np.inf]), "y": np.zeros(2)}, {"impute": "mean"}, "dataset.features", ["inf in row 2"]),
        ({"x": np.ones((2, 3)), "y": np.zeros(2)}, {"columns": {"x": {}}}, "dataset.columns.x", ["shape (3,)"]),
    ],
)
def test_errors_name_the_place_and_the_remedy(errors_of, content, settings, path, words):
    ((field, message),) = errors_of(content, **settings)
    assert field == path
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"y": {"impute": "mean"}}}, '"y" is a label or the weight'),
        ({"columns": {"w": {"impute": "mean"}}, "sample_weight": "w"}, '"w" is a label or the weight'),
        ({"columns": {"c": {"impute": "mean"}}, "features": ["a", "b"]}, '"c" is no column of an input'),
        (
            {"columns": {"c": {"impute": "mean"}}, "inputs": {"n": {"columns": "c", "categories": True}}},
            '"c" holds categories',
        ),
        (
            {
                "columns": {"c": {"log": True}},
                "inputs": {"n": {"columns": "c", "text": {"tokens": "word", "length": 3}}},
            },
            '"c" holds texts',
        ),
        ({"columns": {"a": {"indicator": True}}}, "an indicator of missing values, which needs `impute`"),
        ({"columns": {"a": {"impute": "mode"}}}, "columns.a.impute.mode"),
    ],
)
def test_settings_that_contradict_the_others(settings, message):
    with pytest.raises(ValidationError) as caught:
        DatasetSpec.model_validate({"uri": "a.csv", **settings})
    assert message in str(caught.value)


def test_a_wrong_name_is_one_error_also_with_indicators():
    with pytest.raises(ValidationError) as caught:
        DatasetSpec.model_validate({"uri": "a.csv", "impute": "mode", "columns": {"a": {"indicator": True}}})
    assert {error["loc"][0] for error in caught.value.errors()} == {"impute"}
