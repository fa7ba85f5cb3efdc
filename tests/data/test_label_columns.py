"""Labels of several values: columns of a table side by side, and arrays with more axes."""

import numpy as np
import pytest

PADDED = {"softmax_cross_entropy": {"ignore_class": -1}}
TAGS = "a,b,t1,t2\n1,2,noun,verb\n3,4,article,noun\n"
NUMBERS = "a,t1,b,t2\n1,0,2,1\n3,1,4,1\n"


@pytest.mark.parametrize(
    ("content", "loss", "labels", "classes"),
    [
        (TAGS, "softmax_cross_entropy", [[1, 2], [0, 1]], ("article", "noun", "verb")),
        (NUMBERS, "softmax_cross_entropy", [[0, 1], [1, 1]], ()),
        (NUMBERS, {"softmax_cross_entropy": {"categories": True}}, [[0, 1], [1, 1]], ("0", "1")),
        (NUMBERS, {"softmax_cross_entropy": {"ignore_class": 0}}, [[-1, 1], [1, 1]], ()),
        (NUMBERS, "binary_cross_entropy", [[0, 1], [1, 1]], ()),
        (NUMBERS, "mean_squared_error", [[0, 1], [1, 1]], ()),
        (NUMBERS, {"softmax_cross_entropy": {"one_hot": True}}, None, ()),
    ],
)
def test_columns_side_by_side(load_file, errors_of, content, loss, labels, classes):
    columns = ["t1", "t2"]
    if labels is None:
        ((path, message),) = errors_of(content, loss, label_columns=columns)
        assert path == "dataset.label_columns"
        assert message.startswith("'t1 to t2': 2 in row 2 is the sum of the probabilities")
        return
    data = load_file(content, loss, label_columns=columns)
    assert data.train.x.tolist() == [[1, 2], [3, 4]], "the columns of the label are no features"
    assert data.train.y.tolist() == labels
    assert (data.target.label, data.target.classes) == ("t1 to t2", classes)


def test_booleans_side_by_side(load_file):
    for loss, classes in (("binary_cross_entropy", ()), ("softmax_cross_entropy", ("False", "True"))):
        data = load_file("a,t,u\n1,true,False\n2,TRUE,true\n", loss, label_columns=["t", "u"])
        assert (data.train.y.tolist(), data.target.classes) == ([[1, 0], [1, 1]], classes)
    assert load_file(
        "a,t,u\n1,true,3\n2,false,4\n", "mean_squared_error", label_columns=["t", "u"]
    ).train.y.tolist() == [
        [1, 3],
        [0, 4],
    ]


def test_the_order_is_that_of_the_specification(load_file):
    assert load_file(NUMBERS, "hinge", label_columns=["t2", "t1"]).train.y.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("content", "columns", "path", "message"),
    [
        (
            NUMBERS,
            ["t1", "t3"],
            "dataset.label_columns[1]",
            "'t3' is not a column of the file; there are: a, t1, b, t2",
        ),
        ("a,t,u\n1,2,x\n1,3,\n", ["t", "u"], "dataset.label_columns[1]", "column 'u': row 2 (line 3) has no value"),
        (
            TAGS,
            ["t1", "t2"],
            "dataset.label_columns",
            "'t1 to t2': 'noun' in row 1 is text, but a loss on numbers needs",
        ),
        (
            {"x": np.ones(2), "y": np.ones(2)},
            ["y"],
            "dataset.label_columns",
            "an NPZ file has the labels of a sample in",
        ),
    ],
)
def test_errors_have_the_path_of_the_column(errors_of, content, columns, path, message):
    errors = dict(errors_of(content, "mean_squared_error", label_columns=columns))
    assert errors[path].startswith(message)


@pytest.mark.parametrize(
    ("y", "loss", "labels", "classes"),
    [
        (np.array([[1, -1], [0, 2]]), PADDED, [[1, -1], [0, 2]], ()),
        (np.array([[["b", "a"]], [["a", "c"]]]), "softmax_cross_entropy", [[[1, 0]], [[0, 2]]], ("a", "b", "c")),
        (np.array([[5, 7], [7, 7]]), {"softmax_cross_entropy": {"categories": True}}, [[0, 1], [1, 1]], ("5", "7")),
        (np.array([[[1], [0]], [[0], [0]]]), "binary_cross_entropy", [[[1], [0]], [[0], [0]]], ()),
    ],
)
def test_arrays_with_more_axes(load_file, y, loss, labels, classes):
    data = load_file({"x": np.ones((2, 2)), "y": y}, loss)
    assert data.train.y.tolist() == labels
    assert data.target.classes == classes


@pytest.mark.parametrize("weights", [np.array([["1", "2"], ["3", "4"]]), np.ones((2, 2))])
def test_a_weight_is_one_number_a_sample(errors_of, weights):
    arrays = {"x": np.ones(2), "y": np.zeros(2), "w": weights}
    assert errors_of(arrays, sample_weight="w") == [("dataset.sample_weight", "one number for each sample is needed")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "t"}, "stands instead of `label`: leave one of them out"),
        ({"labels": {"a": "t"}}, "stands instead of `labels`: leave one of them out"),
        ({"features": ["a", "t1"]}, '"t1" is an input or the weight, so it cannot be a label too'),
        ({"inputs": {"a": ["b", "t2"]}}, '"t2" is an input or the weight'),
        ({"sample_weight": "t1"}, '"t1" is an input or the weight'),
        ({"label_columns": ["t1", "t1"]}, '"t1" is named twice'),
    ],
)
def test_contradictions_are_refused(load_file, settings, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        load_file(NUMBERS, **{"label_columns": ["t1", "t2"], **settings})
