"""CSV files with other delimiters, decimal commas, other encodings and compression: the same data as a plain one."""

import gzip

import numpy as np
import pytest

from raydient.spec.csv_text import Dialect
from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.spec.values import SPACES, number_of

ROWS = [("1.5", "-2", "Köln", "no"), ("0.25e1", "7", "Ulm", "yes"), (" .5 ", "TRUE", "Köln", "no")]
INPUTS = {"numbers": ["a", "größe"], "city": {"columns": "city", "categories": True}}


def text(delimiter: str = ",", decimal: str = ".") -> str:
    """Return the table as a CSV file."""
    header = delimiter.join(["a", "größe", "city", "y"])
    rows = [[cell.replace(".", decimal) for cell in row] for row in ROWS]
    quoted = [[f'"{cell}"' if delimiter in cell else cell for cell in row] for row in rows]
    return "\n".join([header, *map(delimiter.join, quoted)]) + "\n"


@pytest.fixture
def expected(load_file):
    """The arrays of the plain file."""
    return load_file(text(), name="plain.csv", inputs=INPUTS).arrays()


@pytest.mark.parametrize(
    ("content", "settings", "name"),
    [
        (text(";"), {}, "data.csv"),
        (text("\t"), {}, "data.csv"),
        (text("|"), {"delimiter": "|"}, "data.csv"),
        (text(";", ","), {"decimal": ","}, "data.csv"),
        (text(",", ","), {"delimiter": ",", "decimal": ","}, "data.csv"),
        (text().encode("latin-1"), {"encoding": "latin-1"}, "data.csv"),
        (text(";").encode("utf-16"), {"encoding": "utf-16"}, "data.csv"),
        (text("\t").encode("utf-8-sig"), {}, "data.csv"),
        (gzip.compress(text().encode(), mtime=0), {}, "data.csv.gz"),
        (
            gzip.compress(text(";", ",").encode("windows-1252"), mtime=0),
            {"decimal": ",", "encoding": "windows-1252"},
            "a.CSV.GZ",
        ),
    ],
)
def test_the_data_are_those_of_the_plain_file(load_file, expected, content, settings, name):
    data = load_file(content, name=name, inputs=INPUTS, csv=settings)
    for key, array in expected.items():
        assert data.arrays()[key].tobytes() == array.tobytes()
    assert data.inputs["city"].vocabulary == ("Köln", "Ulm")


def test_labels_have_a_decimal_comma_too(load_file, errors_of):
    data = load_file("a;y\n1,5;2,5\n2;,5\n", "mean_squared_error", csv={"decimal": ","})
    assert data.train.y.ravel().tolist() == [2.5, 0.5]
    ((path, message),) = errors_of("a;y\n1,5;1.500\n2;2\n", "mean_squared_error", csv={"decimal": ","})
    assert (path, "is text" in message) == ("dataset.label", True)


def test_a_point_is_no_decimal_where_a_comma_is(errors_of):
    assert errors_of("a;y\n1,5;0\n1.500;1\n", csv={"decimal": ","}) == [
        (
            "dataset.features",
            "column 'a': '1.500' in row 2 (line 3) is not a number: write it without separators of thousands, 1500",
        )
    ]


def test_a_large_file_is_recoded_in_pieces(load_file):
    numbers = np.arange(60_000) / 8
    table = "größe,y\n" + "".join(f"{number},{int(number) % 2}\n" for number in numbers)
    plain, other = load_file(table), load_file(table.encode("utf-16"), csv={"encoding": "utf-16"})
    assert other.train.x.tobytes() == plain.train.x.tobytes()


def test_bytes_of_another_encoding_are_named_with_their_row(errors_of):
    table = "a,city,y\n1,Ulm,0\n2,Köln,1\n"
    mend = "save the file with that encoding, or name its own in `dataset.csv.encoding`"
    inputs = {"a": "a", "city": {"columns": "city", "categories": True}}
    ((path, message),) = errors_of(table.encode("latin-1"), inputs=inputs)
    assert path == "dataset.inputs.city.columns[0]"
    assert message.endswith(f"in row 2 (line 3) is not UTF-8 text: {mend}")
    ((path, message),) = errors_of(
        table.encode().replace(b"\xc3", b"\x81"), inputs=inputs, csv={"encoding": "windows-1252"}
    )
    assert message.endswith(f"in row 2 (line 3) is not windows-1252 text: {mend}")
    header = errors_of("größe,y\n1,0\n".encode("latin-1"))
    assert header == [("dataset.uri", f"the file is not UTF-8 text: {mend}")]
    ((path, message),) = errors_of(b"abc", csv={"encoding": "utf-16"})
    assert (path, message[:30]) == ("dataset.uri", "the file is not utf-16 text: n")


@pytest.mark.parametrize(
    "content", [b"a,y\n1,0\n", gzip.compress(text().encode(), mtime=0)[:-9], b"\x1f\x8b" + bytes(30)]
)
def test_a_file_that_is_not_compressed_as_its_name_says_is_refused(errors_of, content):
    ((path, message),) = errors_of(content, name="data.csv.gz")
    assert path == "dataset.uri"
    assert message.startswith("the file cannot be read: ")


def test_a_compressed_file_is_read_within_the_memory(errors_of, monkeypatch):
    monkeypatch.setattr("raydient.workers.data.limits.available_bytes", lambda: 2**22)
    bomb = gzip.compress(b"a,y\n" + b"1,0\n" * 500_000, 1)
    ((path, message),) = errors_of(bomb, name="data.csv.gz")
    assert (path, "of memory, but 4.0 MiB are available" in message) == ("dataset.uri", True)


def test_a_named_delimiter_that_is_not_there_is_named(errors_of):
    ((_path, message),) = errors_of("a,y\n1,0\n", csv={"delimiter": ";"})
    assert message == "the file has one column, 'a,y': its values seem to be separated by commas instead of semicolons"


@pytest.mark.parametrize("settings", [{"delimiter": "::"}, {"decimal": ";"}, {"encoding": "base64"}])
def test_other_settings_are_refused(settings):
    job = {"dataset": {"uri": "a.csv", "csv": settings}}
    with pytest.raises(InvalidSpec) as caught:
        validate_job(job)
    (name,) = settings
    assert f"dataset.csv.{name}" in {error.path for error in caught.value.errors}
    assert Dataset(uri="a.csv").csv.dialect.delimiter is None


@pytest.mark.parametrize("space", ["\t", "\x0b", "\x0c", "\xa0", "\x1c", "\u2003"])
def test_the_space_around_a_decimal_comma_is_that_around_any_number(load_file, errors_of, space):
    cell = f"{space}1,5{space}"
    content, settings = f'a,y\n"{cell}",0\n2,1\n', {"csv": {"decimal": ","}}
    number = number_of(Dialect(decimal=",").cell(cell))
    if space in SPACES:
        assert load_file(content, **settings).train.x.tolist() == [[number], [2]] == [[1.5], [2]]
    else:
        assert number is None
        assert "is not a number" in errors_of(content, **settings)[0][1]
