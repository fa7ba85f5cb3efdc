"""CSV files: values that are read, and messages about bad ones."""

import gzip
import tempfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydient.spec import expansion
from raydient.spec.csv_text import PLAIN, Dialect, open_bytes
from raydient.spec.values import is_missing, number_of
from raydient.workers.data import csv_header, csv_rows, limits
from raydient.workers.data.faults import CATEGORIES

GOOD = "a,b,y\n1,2.5,0\n-3,4e2,1\n"
finite = st.floats(-(2.0**100), 2.0**100)


def test_features_are_all_columns_but_the_label(load_file):
    data = load_file(GOOD)
    assert data.input.feature_names == ("a", "b")
    assert data.train.x.tolist() == [[1, 2.5], [-3, 400]]
    assert data.train.x.dtype == np.float32
    assert data.train.x.flags.c_contiguous
    assert data.train.y.tolist() == [0, 1]
    assert data.train.y.dtype == np.int32


def test_the_label_may_be_anywhere(load_file):
    data = load_file("kind,a\n1,5\n0,6\n", label="kind")
    assert data.train.x.tolist() == [[5], [6]]
    assert data.train.y.tolist() == [1, 0]


def test_features_are_read_in_the_order_of_the_specification(load_file):
    data = load_file("a,b,note,y\n1,2,free text,0\n3,4,,1\n", features=["b", "a"])
    assert data.input.feature_names == ("b", "a")
    assert data.train.x.tolist() == [[2, 1], [4, 3]]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.rstrip("\n").encode(),
        b'"a","b","y"\n"1","2.5","0"\n"-3","4e2","1"\n',
        GOOD.replace("\n", "\n\n").encode(),
        GOOD.replace("4e2", " 400 ").encode(),
    ],
    ids=["byte order mark", "windows lines", "no last newline", "quotes", "blank lines", "spaces"],
)
def test_dialects(load_file, content):
    data = load_file(content)
    assert data.input.feature_names == ("a", "b")
    assert data.train.x.tolist() == [[1, 2.5], [-3, 400]]
    assert data.train.y.tolist() == [0, 1]


@given(values=st.lists(st.tuples(finite, finite), min_size=1, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_numbers_come_back(load_file, values):
    data = load_file("a,y\n" + "".join(f"{a!r},{y!r}\n" for a, y in values), "mean_squared_error")
    expected = np.array(values, np.float32)
    assert np.array_equal(data.train.x[:, 0], expected[:, 0])
    assert np.array_equal(data.train.y[:, 0], expected[:, 1])


def test_text_labels_are_numbered_in_sorted_order(load_file):
    data = load_file('a,y\n1,dog\n2,cat\n3,dog\n4,"ape, small"\n')
    assert data.target.classes == ("ape, small", "cat", "dog")
    assert data.train.y.tolist() == [2, 1, 2, 0]


@pytest.mark.parametrize("missing", ["mean", None])
def test_truth_values_are_1_and_0(load_file, missing):
    content = 'a,b,y\nTrue,0.5,yes\nfalse,-1,no\n TRUE ,3,yes\n"False",1e3,no\n1,2,yes\n'
    data = load_file(content, **({"impute": missing} if missing else {}))
    assert data.train.x.tolist() == [[1, 0.5], [0, -1], [1, 3], [0, 1000], [1, 2]]
    assert data.target.classes == ("no", "yes")


def test_truth_values_after_numbers(load_file, errors_of):
    data = load_file("a,b,y\n0,1,0\n1,2,0\ntrue,3,1\n")
    assert data.train.x.tolist() == [[0, 1], [1, 2], [1, 3]]
    assert load_file("a,y\n1,True\n2,False\n", "binary_cross_entropy").train.y.tolist() == [[1], [0]]
    ((_, message),) = errors_of("a,b,y\ntrue,1,0\nyes,2,0\n")
    assert message == f"column 'a': 'yes' in row 2 (line 3) is not a number{CATEGORIES}"
    ((_, message),) = errors_of("a,b,y\ntrue,1,0\n,2,0\n")
    assert "column 'a': row 2 (line 3) has no value; `impute: median` fills such values" in message


SPACES = ["\t", "\x0b", "\x0c", "\xa0", "\u2003", "\u3000", "\x1c", "\x1f", "\x85", "\ufeff"]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("text", ["5", "true", "NA"])
def test_one_rule_says_which_space_belongs_to_a_number(load_file, errors_of, space, text):
    """The reader of training data and that of predictions, which also reads texts of tables, agree."""
    spaced = f"{space}{text}{space}"
    content = f"b,a,y\n0,{spaced},0\n0,7,1\n"
    if space in "\t\x0b\x0c":
        value = load_file(content, impute="mean").train.x[0, 1]
        assert value == (7 if is_missing(spaced) else number_of(spaced))
    else:
        ((_, message),) = errors_of(content, impute="mean")
        assert "in row 1 (line 2) is not a number" in message
        assert not is_missing(spaced)
        assert number_of(spaced) is None


def test_numbers_are_read_as_most_programs_read_them(load_file, errors_of):
    assert load_file("a,y\n1,1_0\n2,2_0\n").target.classes == ("1_0", "2_0")
    assert errors_of("a,y\n1_0,0\n") == [
        ("dataset.features", f"column 'a': '1_0' in row 1 (line 2) is not a number{CATEGORIES}")
    ]


@pytest.mark.parametrize(
    ("content", "path", "words"),
    [
        (b"", "dataset.uri", ["the file is empty"]),
        (b"\n\n", "dataset.uri", ["the file is empty"]),
        (b"a,b,y\n", "dataset.uri", ["a header but no rows"]),
        (b"1,2,3\n4,5,6\n", "dataset.uri", ["no header", "1, 2, 3"]),
        (
            b"a,a,y\n1,2,0\n",
            "dataset.features",
            ["more than one column named 'a', the columns 1, 2: rename all but one"],
        ),
        (b"a,,y\n1,2,0\n", "dataset.features", ["no name for column 2: name the columns to use in `dataset.features`"]),
        (b",a,y\n0,2,0\n", "dataset.features", ["no name for column 1", "pandas", "index=False"]),
        (b'"a;y"\n1;0\n', "dataset.label", ["'y' is not a column of the file", "there are: a;y"]),
        (b"a,b,y\n1,2,0\n1,0\n", "dataset.uri", ["3 columns in its header", "2 in row 2 (line 3)"]),
        (b"a,y\n\xff,0\n", "dataset.features", ["column 'a'", "row 1 (line 2) is not UTF-8 text"]),
        (b"a,y\n1,\xff\n", "dataset.label", ["column 'y'", "row 1 (line 2) is not UTF-8 text"]),
        (b"\xff,y\n1,0\n", "dataset.uri", ["not UTF-8"]),
        (b"\xff\xfea\x00,\x00", "dataset.uri", ["not UTF-8"]),
        (b"y\n0\n", "dataset.features", ["no column besides the label"]),
        (b"a,b\n1,2\n", "dataset.label", ["'y' is not a column of the file", "there are: a, b"]),
        (b"a,b,y\n1,2,0\n1,tall,0\n", "dataset.features", ["column 'b'", "'tall' in row 2 (line 3) is not a number"]),
        (b"a,b,y\n1,tall,0\n1,wide,0\n", "dataset.features", ["'tall' in row 1 (line 2)", "(2 such rows)"]),
        (b"a,b,y\n1,,0\n", "dataset.features", ["column 'b'", "row 1 (line 2) has no value"]),
        (b"a,b,y\n1,nan,0\n", "dataset.features", ["column 'b'", "'nan' in row 1 (line 2) stands for a missing value"]),
        (b'a,b,y\n1,"",0\n', "dataset.features", ["column 'b'", "row 1 (line 2) has no value"]),
        (b'a,b,y\n1,"NA",0\n', "dataset.features", ["column 'b'", "'NA' in row 1 (line 2) is not a number"]),
        (b"a,y\n1,NA\n", "dataset.label", ["'NA' in row 1 (line 2)", 'if it is a value, write it in quotes: "NA"']),
        (b'a,y\n1,""\n', "dataset.label", ["column 'y'", "row 1 (line 2) has no value"]),
        (b'a,y\n1,"x\n\ny"\n,z\n', "dataset.features", ["column 'a'", "row 2 (line 5) has no value"]),
        (b"a,y\n1," + 5_000 * b"x" + b"\n", "dataset.label", ["xxx...' in row 1 (line 2) is longer than 4096 bytes"]),
        (b"a,b,y\n1,inf,0\n", "dataset.features", ["column 'b'", "'inf' in row 1 (line 2) is not finite"]),
        (b"a,b,y\n1,1e999,0\n", "dataset.features", ["column 'b'", "'1e999' in row 1 (line 2) is not finite"]),
        (b"a,b,y\n1,2,0\n1,2,\n", "dataset.label", ["column 'y'", "row 2 (line 3) has no value"]),
        (b"a,b,y\n1,1e39,0\n", "dataset.features", ["too large for float32"]),
    ],
)
def test_bad_files_are_refused_with_a_path(errors_of, content, path, words):
    ((field, message),) = errors_of(content)
    assert field == path
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("\u0661\u0662.5", "is not a number: write it in ASCII, 12.5"),
        ("\uff11", "is not a number: write it in ASCII, 1"),
        ("\u22125", "is not a number: write it in ASCII, -5"),
        ("0.844\u00a0", "'0.844\\xa0' in row 2 (line 3) is not a number: there is a no-break space around 0.844"),
        ("1,5", "is not a number: the decimal separator is a point, as in 1.5"),
        ("1,234,567", "is not a number: write it without separators of thousands, 1234567"),
        ("1.234.567,5", "is not a number: write it without separators of thousands, 1234567.5"),
        ("12 345.5", "is not a number: write it without separators of thousands, 12345.5"),
        ("12\u202f345", "'12\\u202f345' in row 2 (line 3) is not a number: write it without separators"),
        ("50 %", "is not a number: write it without the percent sign"),
        ("tall", f"is not a number{CATEGORIES}"),
        ("\x1b[31m", f"'\\x1b[31m' in row 2 (line 3) is not a number{CATEGORIES}"),
    ],
)
def test_the_error_of_a_text_that_resembles_a_number_has_a_hint(errors_of, text, hint):
    ((path, message),) = errors_of(f'a,b,y\n1,2,0\n"{text}",3,1\n')
    assert path == "dataset.features"
    assert message.startswith("column 'a': ")
    assert hint in message
    assert message.endswith(CATEGORIES) == hint.endswith(CATEGORIES)
    assert message.isprintable()


def test_quoted_texts_are_values(load_file):
    data = load_file('a,y\n1,"NA"\n2,"EU"\n3,"null"\n')
    assert data.target.classes == ("EU", "NA", "null")


@pytest.mark.parametrize(
    "content",
    [
        ",a,b,y\n0,1,2,0\n1,3,4,1\n",
        'z,z,a,b,y\n?,,1,2,0\nNA,"x,\ny",3,4,1\n',
        b"a,n\xefme,b,y\n1,\xff,2,0\n3,\x00\x1b,4,1\n".replace(b"n\xefme", b"other"),
    ],
    ids=["index", "twice", "bytes"],
)
def test_columns_that_a_job_does_not_use_may_hold_anything(load_file, content):
    data = load_file(content, features=["a", "b"])
    assert data.train.x.tolist() == [[1, 2], [3, 4]]
    assert data.train.y.tolist() == [0, 1]


def test_a_header_of_numbers_whose_label_is_named(load_file):
    assert load_file("0,1,2\n5,6,1\n7,8,0\n", label="2").train.x.tolist() == [[5, 6], [7, 8]]


def test_blocks_are_joined_in_order(load_file, monkeypatch):
    monkeypatch.setattr(csv_rows, "ROW_BYTES", 64)
    rows = [f"{n},{n + 0.5},class {n % 3}" for n in range(500)]
    data = load_file("a,b,y\n" + "\n".join(rows))
    assert np.array_equal(data.train.x[:, 0], np.arange(500))
    assert np.array_equal(data.train.x[:, 1], np.arange(500) + 0.5)
    assert np.array_equal(data.train.y, np.arange(500) % 3)


def test_the_length_of_a_row_is_bounded(errors_of, monkeypatch):
    monkeypatch.setattr(csv_header, "ROW_BYTES", 64)
    ((path, message),) = errors_of("a" * 100 + ",y\n1,0\n")
    assert path == "dataset.uri"
    assert "has a row that is longer than" in message


def test_the_number_of_columns_is_bounded(errors_of, monkeypatch):
    monkeypatch.setattr(csv_header, "MAXIMUM_COLUMNS", 3)
    assert errors_of("a,b,c,y\n1,2,3,0\n") == [("dataset.uri", "the file has 4 columns, more than the 3 that are read")]


def test_memory_is_bounded_while_reading(errors_of, monkeypatch):
    monkeypatch.setattr(limits, "available_bytes", lambda: 2**20)
    ((path, message),) = errors_of("a,y\n" + "1,0\n" * 200_000)
    assert path == "dataset.uri"
    assert "its data take more than" in message
    assert "1.0 MiB are available" in message


def test_only_the_first_missing_columns_are_listed(errors_of):
    features = [f"f{n}" for n in range(5_000)]
    errors = errors_of(
        ",".join([f"g{n}" for n in range(5_000)] + ["y"]) + "\n" + "1," * 5_000 + "0\n", features=features
    )
    assert len(errors) == 11
    assert errors[0] == (
        "dataset.features[0]",
        "'f0' is not a column of the file; there are: g0, g1, g2, g3, g4, g5, g6, g7, ... (5001 names)",
    )
    assert errors[-1] == ("dataset.features[9]", "4990 more names are not a column of the file")


def test_all_errors_at_once(errors_of):
    content = "a,b,c,y\n1,x,3,0\n1,2,,-1\n"
    assert [path for path, _ in errors_of(content)] == ["dataset.features", "dataset.features", "dataset.label"]
    errors = errors_of("height,b,label\n1,2,0\n", features=["heigth", "b", "zzz"], label="lable")
    assert errors == [
        ("dataset.label", "'lable' is not a column of the file: did you mean 'label'?"),
        ("dataset.features[0]", "'heigth' is not a column of the file: did you mean 'height'?"),
        ("dataset.features[2]", "'zzz' is not a column of the file; there are: height, b, label"),
    ]


def test_a_bad_feature_that_was_asked_for_is_named_by_its_place(errors_of):
    ((path, _),) = errors_of("a,b,y\n1,x,0\n", features=["a", "b"])
    assert path == "dataset.features[1]"


def test_only_the_first_bad_columns_are_listed(errors_of):
    names = [f"c{i}" for i in range(30)]
    errors = errors_of(",".join([*names, "y"]) + "\n" + ",".join(["?"] * 30 + ["0"]) + "\n")
    assert len(errors) == 11
    assert "20 more columns" in errors[-1][1]


def test_a_bad_value_far_down_is_found(errors_of):
    rows = ["1,0"] * 200_000
    rows[150_000] = "oops,0"
    ((_, message),) = errors_of("a,y\n" + "\n".join(rows) + "\n")
    assert "'oops' in row 150001 (line 150002)" in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_thread_that_outlives_an_error_never_calls_python(tmp_path, monkeypatch, encoding):
    """Arrow's reader of a stream has one that reads in advance, and a call of Python would abort an ending process."""
    opened = []

    def open_csv(file, *arguments):
        assert isinstance(file, pa.NativeFile)
        opened.append(file.read())
        file.seek(0)
        return plain(file, *arguments)

    plain = csv_rows.pa_csv.open_csv
    monkeypatch.setattr(csv_rows.pa_csv, "open_csv", open_csv)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "a.csv.gz"
    for content, rest in (("a,y\n1,0\n2\n3,0\n", ""), ('a,y\n1,5" pipe\n2\n3,0\n', '1,5" pipe\n2\n3,0\n')):
        path.write_bytes(gzip.compress(content.encode(encoding)))
        header = csv_header.read_header(path, Dialect(encoding=encoding))
        del opened[:]
        with pytest.raises(pa.ArrowInvalid, match="Expected 2 columns, got 1"):
            list(csv_rows.read_batches(path, header, {0: pa.large_string(), 1: pa.large_string()}))
        assert opened == [rest.encode()] * bool(rest)
    assert list(tmp_path.iterdir()) == [path]


def test_a_compressed_file_that_expands_too_far_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(expansion, "PLAIN_BYTES", 1000)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,y\n" + b"1,0\n" * 50_000))
    with open_bytes(path) as file, pytest.raises(OSError, match="expands to more than 100 times its size: store it"):
        file.read()
    path.write_bytes(gzip.compress(b"a,y\n" + b"1,0\n" * 200))
    with open_bytes(path) as file:
        assert len(file.read()) == 804


def test_arrow_reads_a_plain_file_itself(tmp_path):
    """A thread of its reader outlives an error, and must not call Python while the process ends."""
    path = tmp_path / "a.csv"
    for content, rows in ((b"a,y\n1,0\n", b"1,0\n"), (b"\xef\xbb\xbfa,y\r\n\r\n1,0", b"\r\n1,0")):
        path.write_bytes(content)
        with csv_rows.open_rows(path, csv_header.read_header(path, PLAIN)) as file:
            assert isinstance(file, pa.NativeFile)
            assert file.read() == rows
