"""The choice of the rows that are held out: each method, its determinism, and data that do not fit it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.workers.data.raw import RawData
from raydient.workers.data.source import split_rows
from raydient.workers.data.splits import split

SEED = 3


def held_out(values, method, test=0.25, seed=SEED):
    """The rows that are held out by a column `c` of these texts."""
    spec = DatasetSpec.model_validate({"uri": "a.csv", "split": {"test": test, "method": method}})
    raw = RawData(None, {}, {"split column": [str(value) for value in values]}, (), len(values), {})
    train, test_rows = split(spec, raw, seed)
    assert sorted([*train, *test_rows]) == list(range(len(values)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test_rows) > 0).all()
    return test_rows.tolist()


def by(kind, column="c"):
    return {kind: {"by": column}}


def csv(rows, header="a,c,y"):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def test_rows_are_drawn_at_random_where_nothing_is_said():
    assert held_out(range(20), "random") == split_rows(SEED, 20, 0.25)[1].tolist()


def test_the_share_of_each_class_is_held_out():
    values = ["a"] * 40 + ["b"] * 8 + ["c"] * 2
    rows = held_out(values, by("stratified"))
    assert [sum(values[row] == one for row in rows) for one in "abc"] == [10, 2, 1]
    assert rows == held_out(values, by("stratified"))
    assert rows != held_out(values, by("stratified"), seed=4)
    rows = held_out(values, by("stratified"), test=0.99)
    assert [sum(values[row] == one for row in rows) for one in "abc"] == [39, 7, 1], "a row of each class is left"


@given(st.lists(st.integers(0, 5), min_size=2, max_size=60), st.sampled_from([0.1, 0.3, 0.6]), st.integers(0, 9))
def test_a_group_stays_in_one_part(groups, share, seed):
    if len(set(groups)) == 1:
        return
    rows = held_out(groups, by("grouped"), share, seed)
    apart = {groups[row] for row in rows} & {groups[row] for row in range(len(groups)) if row not in rows}
    assert not apart
    assert 0 < len(rows) < len(groups)
    sizes = [groups.count(one) for one in set(groups)]
    wanted = max(1, round(len(groups) * share))
    assert abs(len(rows) - wanted) <= max(*sizes, wanted)


def test_groups_are_drawn_with_the_seed_and_come_near_the_share():
    groups = [row // 2 for row in range(40)]
    drawn = [held_out(groups, by("grouped"), seed=seed) for seed in (1, 1, 2)]
    assert [len(rows) for rows in drawn] == [10, 10, 10]
    assert drawn[0] == drawn[1] != drawn[2]
    assert held_out(["big"] * 9 + ["small"], by("grouped")) == [9], "the big group would lead away from the share"


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ([5, 3, 9, 1], [2]),
        (["10", "9", "1e1", "8.5"], [0, 2]),
        ([1700000000000000002, 1700000000000000001, 1, 0], [0]),
        (["2024-03-01", "2024-01-31", "2023-12-01", "2024-02-29T12:00"], [0]),
        (["2024-01-01T12:00+02:00", "2024-01-01T11:00+00:00", "2023-01-01T00:00Z", "2022-01-01T00:00Z"], [1]),
        ([1, 1, 1, 2, 2, 2], [3, 4, 5]),
        ([1, 2, 2, 2, 2, 2], [1, 2, 3, 4, 5]),
        ([1, 2, 2, 2, 2, 2, 2, 3], [7]),
    ],
)
def test_the_last_rows_of_an_order_are_held_out(values, rows):
    assert held_out(values, by("ordered")) == rows


def test_a_column_names_the_part():
    assert held_out(["train", "test", " test ", "train"], {"column": {"name": "c"}}, 0) == [1, 2]
    words = {"column": {"name": "c", "train": ["fit"], "test": ["dev", "test"]}}
    assert held_out(["fit", "dev", "test"], words, 0) == [1, 2]


@pytest.mark.parametrize(
    ("values", "method", "message"),
    [
        ("aab", by("stratified"), "row 3 is the only one of the class 'b': a class needs a row in each part; add rows"),
        ("abc", by("stratified"), "row 1 is the only one of the class 'a' (3 such classes)"),
        ("aaa", by("grouped"), "every row has the value 'a', but each part needs a group of its own"),
        (["1", "1.0"], by("ordered"), "every row has the value '1', so none is later than another"),
        (["2024-01-01", "soon"], by("ordered"), "'soon' in row 2 is not a number or a date such as 2026-11-30"),
        (["1", "inf"], by("ordered"), "'inf' in row 2 is not a finite number"),
        (["2024-01-01T00:00Z", "2024-01-02"], by("ordered"), "row 1 has a time zone and row 2 has none"),
        (
            ["train", "test", "val"],
            {"column": {"name": "c"}},
            "'val' in row 3 names no part; these are 'train', 'test'",
        ),
        (["train"], {"column": {"name": "c"}}, "no row is in the held-out part, 'test'"),
        (["test"], {"column": {"name": "c"}}, "no row is in the training part, 'train'"),
    ],
)
def test_values_that_do_not_fit_the_method(errors_of, values, method, message):
    content = csv([(row, value, row % 2) for row, value in enumerate(values)])
    (kind,) = method
    share = {} if kind == "column" else {"test": 0.25}
    ((path, text),) = errors_of(content, split={"method": method, **share})
    assert path == f"dataset.split.method.{kind}.{'name' if kind == 'column' else 'by'}"
    assert text.startswith("'c': ")
    assert message in text


@pytest.mark.parametrize("values", [["false", "true", "TRUE"], ["False", "True", "True"]])
@pytest.mark.parametrize("words", [("false", "true"), ("False", "True")])
def test_booleans_name_the_part_in_any_form(load_file, values, words):
    method = {"column": {"name": "c", "train": [words[0]], "test": [words[1]]}}
    rows = [(1, values[0], 0), (2, values[1], 0), (3, values[2], 1), (4, values[0], 1)]
    assert load_file(csv(rows), split={"method": method}).test.x.tolist() == [[2], [3]]


def test_the_column_of_the_split_is_no_feature(load_file):
    content = csv([(row, "xy"[row % 2], row % 3 % 2) for row in range(12)])
    data = load_file(content, split={"test": 0.5, "method": by("grouped")})
    assert data.input.columns == ("a",)
    assert [int(x) % 2 for x in data.test.x[:, 0]] in ([0] * 6, [1] * 6)
    arrays = {"x": np.arange(8.0), "c": np.arange(8) // 4, "y": np.arange(8) % 2}
    data = load_file(arrays, split={"test": 0.5, "method": by("ordered")})
    assert data.test.x.tolist() == [[4], [5], [6], [7]]
    assert data.held_out.tolist() == [4, 5, 6, 7]


def test_strata_are_those_of_the_label_unless_a_column_is_named(load_file):
    content = csv([(row, "uv"[row % 2], "no" if row < 8 else "yes") for row in range(12)])
    inputs = {"features": ["a"]}
    data = load_file(content, split={"test": 0.25, "method": "stratified"}, **inputs)
    assert data.test.y.tolist() == [0, 0, 1]
    data = load_file(content, split={"test": 0.25, "method": by("stratified")}, **inputs)
    assert sorted(int(x) % 2 for x in data.test.x[:, 0]) == [0, 0, 1, 1]


def test_the_parts_do_not_depend_on_the_writing_of_other_columns(load_file):
    first = load_file(csv([(row, row // 3, row % 2) for row in range(30)]), split={"method": by("grouped")})
    other = load_file(csv([(2 * row, row // 3, row % 2) for row in range(30)]), split={"method": by("grouped")})
    assert (2 * first.test.x).tolist() == other.test.x.tolist()


def test_columns_that_cannot_decide(errors_of):
    content = csv([(row, row % 2, 0) for row in range(8)])
    ((path, message),) = errors_of(content, split={"method": by("grouped", "d")})
    assert (path, message) == ("dataset.split.method.grouped.by", "'d' is not a column of the file; there are: a, c, y")
    ((path, message),) = errors_of(content.replace("7,1,0", "7,,0"), split={"method": by("grouped")})
    assert path == "dataset.split.method.grouped.by"
    assert "row 8 (line 9) has no value" in message
    two = {"labels": {"one": "c", "two": "y"}, "loss": {"one": "softmax_cross_entropy", "two": "softmax_cross_entropy"}}
    ((path, message),) = errors_of(content, split={"method": "stratified"}, **two)
    assert (path, message[:24]) == ("dataset.split.method.stratified", "there are several labels")
    arrays = {"x": np.ones(4), "y": np.eye(4)}
    ((path, message),) = errors_of(arrays, {"softmax_cross_entropy": {"one_hot": True}}, split={"method": "stratified"})
    assert "a label has shape (4,): name a column of classes in `by`" in message
    arrays = {"x": np.ones(4), "y": np.arange(4), "c": np.ones((4, 2))}
    ((path, message),) = errors_of(arrays, split={"method": by("grouped")})
    assert "'c' has several values a row, but a split needs one" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": {"test": 0.1, "method": {"column": {"name": "c"}}}}, "leave out `test`"),
        (
            {"split": {"method": {"column": {"name": "c", "test": ["train"]}}}},
            "is a word for the training part already",
        ),
        ({"split": {"method": by("grouped")}, "features": ["a", "c"]}, '"c" decides which rows are held out'),
        ({"split": {"method": by("grouped")}, "inputs": {"one": ["c"]}}, '"c" decides which rows are held out'),
        ({"split": {"method": by("grouped")}, "columns": {"c": {"log": True}}}, "the column of the split"),
        ({"split": {"method": "stratified"}, "validation": {"uri": "v.csv"}}, "`split.method` holds rows out already"),
        ({"split": {"method": {"grouped": {}}}}, "grouped.by"),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ValueError, match=r"split|validation|features|inputs|columns") as caught:
        DatasetSpec.model_validate({"uri": "a.csv", **settings})
    assert message in str(caught.value)


def test_the_written_out_form_is_valid_again():
    for method in ("random", "stratified", by("grouped"), by("ordered"), {"column": {"name": "c"}}):
        spec = DatasetSpec.model_validate({"uri": "a.csv", "split": {"method": method}})
        assert DatasetSpec.model_validate(spec.canonical()) == spec
    assert spec.split.test == 0


def folds(values, number, variant=None, seed=SEED):
    """The rows of each fold; all of them are each row once."""
    methods = [{"folds": {"number": number, "fold": fold, **(variant or {})}} for fold in range(1, number + 1)]
    parts = [held_out(values, method, 0.0, seed) for method in methods]
    assert sorted(row for part in parts for row in part) == list(range(len(values)))
    return parts


@given(st.integers(2, 9), st.integers(9, 60), st.integers(0, 9))
def test_each_row_is_in_one_fold_and_folds_are_even(number, rows, seed):
    parts = folds(range(rows), number, seed=seed)
    assert {len(part) for part in parts} <= {rows // number, -(-rows // number)}


@given(st.integers(2, 5), st.lists(st.integers(2, 9), min_size=2, max_size=4), st.integers(0, 9))
def test_each_fold_has_the_same_share_of_each_class(number, counts, seed):
    values = [f"class {place}" for place, count in enumerate(counts) for _ in range(count)]
    if len(values) < number:
        return
    parts = folds(values, number, {"stratified": {"by": "c"}}, seed)
    for one in set(values):
        of_class = [sum(values[row] == one for row in part) for part in parts]
        assert max(of_class) - min(of_class) <= 1
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(2, 4), st.lists(st.integers(0, 6), min_size=8, max_size=40), st.integers(0, 9))
def test_a_group_stays_in_one_fold(number, groups, seed):
    if len(set(groups)) < number:
        return
    parts = folds(groups, number, {"grouped": {"by": "c"}}, seed)
    for one in set(groups):
        assert sum(any(groups[row] == one for row in part) for part in parts) == 1
    assert max(map(len, parts)) - min(map(len, parts)) <= max(groups.count(one) for one in set(groups))


def test_folds_depend_on_the_seed():
    assert folds(range(30), 3) == folds(range(30), 3)
    assert folds(range(30), 3) != folds(range(30), 3, seed=4)


@pytest.mark.parametrize(
    ("content", "method", "path", "message"),
    [
        (csv([(1, 2, 3)] * 4), {}, "folds", "5 folds of 4 rows leave some without a row: at most 4"),
        (
            csv([(1, 2, 3)] * 6),
            {"grouped": {"by": "c"}},
            "folds.grouped.by",
            "'c': 5 folds need a group each, but there are 1: at most 1",
        ),
        (
            csv([(1, 2, 3)] * 6 + [(1, 4, 3)]),
            {"stratified": {"by": "c"}},
            "folds.stratified.by",
            "'c': row 7 is the only one of the class '4'",
        ),
        (
            csv([(1, 2, 3)] * 6 + [(1, 4, 4)]),
            {"stratified": {}},
            "folds.stratified",
            "'y': row 7 is the only one of the class '4'",
        ),
    ],
)
def test_data_without_enough_for_all_folds(errors_of, content, method, path, message):
    spec = {"split": {"method": {"folds": method}}}
    errors = errors_of(content, "mean_squared_error", **spec)
    assert [where for where, _ in errors] == [f"dataset.split.method.{path}"]
    assert errors[0][1].startswith(message)


def test_the_column_of_folds_is_no_feature(load_file):
    content = csv([(row, row % 3, row) for row in range(9)])
    method = {"folds": {"number": 3, "fold": 2, "grouped": {"by": "c"}}}
    data = load_file(content, "mean_squared_error", split={"method": method})
    assert (data.train.rows, data.test.rows, data.input.columns) == (6, 3, ("a",))


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"method": {"folds": {"number": 3, "fold": 4}}}, "4 is none of the folds 1 to 3"),
        ({"method": {"folds": {"stratified": {}, "grouped": {"by": "c"}}}}, "either `stratified` or `grouped`"),
        (
            {"test": 0.2, "method": "folds"},
            "`folds` says how many rows are held out, and `test` a share, 0.2: leave out",
        ),
    ],
)
def test_settings_of_folds_that_contradict_each_other(split, message):
    with pytest.raises(ValueError, match=message):
        DatasetSpec.model_validate({"uri": "a.csv", "split": split})
