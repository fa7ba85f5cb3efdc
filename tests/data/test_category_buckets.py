"""Categories with a bucket for missing ones and one for those that the training part lacks."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job

TABLE = "town,size,y\n" + "Ulm,1,0\nBonn,2,1\n,1,0\nNA,3,1\n" * 5 + 'Kiel,1,0\n"",1,1\n" Ulm",1,1\n'
INPUTS = {name: {"columns": name, "categories": True, "buckets": True} for name in ("town", "size")}


def test_missing_is_0_and_categories_begin_at_2(load_file):
    data = load_file(TABLE, inputs=INPUTS)
    assert data.inputs["town"].vocabulary == (" Ulm", "Bonn", "Kiel", "Ulm")
    assert data.train.xs["town"].ravel().tolist() == [5, 3, 0, 0] * 5 + [4, 0, 2]
    assert data.inputs["size"].vocabulary == ("1", "2", "3")
    assert data.inputs["town"].optional_columns == ("town",)


def test_a_category_that_the_training_part_lacks_is_unknown(load_file):
    table = "a,y\n" + "".join(f"name {number},{number % 2}\n" for number in range(50))
    data = load_file(table, split={"test": 0.3}, inputs={"a": {**INPUTS["town"], "columns": "a"}})
    assert len(data.inputs["a"].vocabulary) == data.train.rows == 35
    assert data.test.xs["a"].ravel().tolist() == [1] * 15
    assert sorted(data.train.xs["a"].ravel().tolist()) == list(range(2, 37))


def test_values_of_any_form_have_the_same_places(load_file):
    preprocessing = load_file(TABLE, inputs=INPUTS).inputs
    towns = np.array([["Ulm"], [""], ["nan"], ["NULL"], ["Rome"], [None], [float("nan")]], object)
    assert preprocessing["town"].apply(towns).ravel().tolist() == [5, 0, 0, 0, 1, 1, 0]
    for sizes in (np.array([[1.0], [np.nan], [2.5]]), np.array([["1"], [""], ["x"]], object)):
        assert preprocessing["size"].apply(sizes).ravel().tolist() == [2, 0, 1]


def test_typed_columns_and_arrays_have_buckets_too(load_file):
    file = io.BytesIO()
    table = {"town": pa.array(["Ulm", None, ""]).dictionary_encode(), "size": pa.array([1.5, None, float("nan")])}
    pq.write_table(pa.table({**table, "y": [0, 1, 0]}), file)
    data = load_file(file.getvalue(), name="data.parquet", inputs=INPUTS)
    assert [data.train.xs[name].ravel().tolist() for name in ("town", "size")] == [[2, 0, 0], [2, 0, 0]]
    arrays = {"town": np.array(["b", "", "a"]), "size": np.array([3, 1, 3]), "y": np.array([0, 1, 0])}
    data = load_file(arrays, inputs=INPUTS)
    assert [data.train.xs[name].ravel().tolist() for name in ("town", "size")] == [[3, 0, 2], [3, 2, 3]]


def test_other_columns_and_labels_still_need_values(errors_of):
    inputs = {"town": INPUTS["town"], "size": {"columns": "size", "categories": True}}
    named = errors_of("town,size,y\n,,0\nUlm,1,\n", inputs=inputs)
    assert [path for path, _ in named] == ["dataset.inputs.size.columns[0]", "dataset.label"]
    ((path, message),) = errors_of("town,y\n,0\nNA,1\n", inputs={"town": INPUTS["town"]})
    assert (path, "no category" in message) == ("dataset.inputs.town", True)
    ((path, message),) = errors_of(f"town,y\n{'x' * 5000},0\n,1\n", inputs={"town": INPUTS["town"]})
    assert message.endswith("longer than 4096 bytes")


def test_only_categories_have_buckets():
    with pytest.raises(InvalidSpec, match="only categories have buckets"):
        validate_job({"dataset": {"uri": "a.csv", "inputs": {"a": {"columns": "a", "buckets": True}}}})
