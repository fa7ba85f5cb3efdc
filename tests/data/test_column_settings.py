"""The columns of a table are prepared one by one, as `dataset.columns` says."""

import numpy as np
import pytest
from pydantic import ValidationError

from raydient.spec.dataset import Dataset as DatasetSpec

FILE = "a,b,c,y\n-1,0,2,0\n4,3,4,1\n9,8,6,0\n"


def test_each_column_has_its_own_preparation(load_file):
    columns = {"a": {"clip": {"min": 0, "max": 8}, "log": True, "scale": "none"}, "b": {"scale": "min_max"}}
    data = load_file(FILE, columns=columns, standardize=True)
    expected = np.stack([np.log([1, 5, 9]), np.array([0, 3, 8]) / 8, np.array([-1, 0, 1]) * 1.5**0.5], axis=1)
    np.testing.assert_allclose(data.train.x, expected, rtol=1e-6)


def test_a_scale_does_not_touch_other_columns(load_file):
    data = load_file(FILE, columns={"b": {"scale": "standardize"}})
    assert data.train.x[:, [0, 2]].tolist() == [[-1, 2], [4, 4], [9, 6]]
    np.testing.assert_allclose(data.train.x[:, 1].std(), 1, rtol=1e-6)


def test_columns_with_the_default_scale_give_the_bits_of_the_whole_table(load_file):
    whole = load_file(FILE, standardize=True)
    named = load_file(FILE, standardize=True, columns={"b": {"scale": "standardize"}, "a": {}})
    np.testing.assert_array_equal(whole.train.x, named.train.x)


@pytest.mark.parametrize(
    ("columns", "path", "words"),
    [
        ({"a": {"log": True}}, "dataset.columns.a.log", ["column 'a': -1 has no log(1 + x): clip it above -1"]),
        ({"b": {"scale": "standardize"}}, "dataset.columns.b.scale", ["column 'b': its values, -1e+308 to 1e+308"]),
        ({"a": {"clip": {"min": 0}}, "d": {"log": True}}, "dataset.columns.d", ["'d' is not a column of the file"]),
    ],
)
def test_what_does_not_fit_the_file(errors_of, columns, path, words):
    file = f"{FILE}1,-1e308,0,0\n1,1e308,0,0\n" if "b" in columns else FILE
    ((field, message),) = errors_of(file, columns=columns)
    assert field == path
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip": {}}, "`min` or `max` is needed"),
        ({"clip": {"min": 3, "max": 3}}, "max, 3, is not above min, 3"),
        ({"scale": "robust"}, "robust"),
    ],
)
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(ValidationError) as caught:
        DatasetSpec.model_validate({"uri": "a.csv", "columns": {"a": settings}})
    assert message in str(caught.value)
