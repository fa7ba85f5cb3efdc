"""Text files, whose lines are samples, and folders of them, whose files are."""

import csv
import gzip
import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.client.cli.runs import sha256_of
from raydient.client.columns import InvalidSamples
from raydient.client.data_file import local_files
from raydient.client.packing import pack
from raydient.client.samples import read_samples
from raydient.server.training.profiles import identity
from raydient.spec import text_files
from raydient.spec.csv_text import ENCODINGS, PLAIN, Dialect
from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Output
from raydient.spec.patterns import DataPath, data_path
from raydient.workers.data import load
from raydient.workers.data.prepared import key_of

OUTPUTS = [Output(layer="out", label="label", loss={"softmax_cross_entropy": {"categories": True}})]
INPUTS = {"signs": {"columns": "text", "text": {"tokens": "character", "length": 12}}}
LINES = {"no": ["bad", '"quotes", commas', "", "NA", "1,5"], "yes": ["good  ", "Grüße 🙂", "\tend"]}
TEXTS = {"no": {"b.txt": "two\nlines\n", "a.txt": "NA"}, "yes": {"deep/x.TXT": 'a "b", c', "e.txt": ""}}
BOTH = ["labels/no.txt", "labels/yes.txt.gz"]
Rows = list[tuple[str, str]]


def load_from(root: Path, uri: str | list[str], **settings: object):
    """Load data below a folder; nothing is held out."""
    spec = {"uri": uri, "label": "label", "inputs": INPUTS, "split": {"test": 0.0}, **settings}
    dataset = Dataset.model_validate(spec)
    return load(dataset, data_path(root / name for name in dataset.training_uris.values()), OUTPUTS, 1)


def bits_of(data) -> dict[str, bytes]:
    """The arrays of data, and the classes of the label."""
    arrays = {name: array.tobytes() for name, array in data.arrays().items()}
    return {**arrays, "classes": repr(data.targets["out"].classes).encode()}


def errors_of(root: Path, uri: str | list[str], **settings: object) -> list[str]:
    """Each error, with its path."""
    with pytest.raises(InvalidSpec) as caught:
        load_from(root, uri, **settings)
    return [f"{error.path}: {error.message}" for error in caught.value.errors]


def as_csv(path: Path, rows: Rows) -> Path:
    """Write the same samples to a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    path.write_bytes(text.getvalue().encode())
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with LINES as files in `labels`, TEXTS as files in `texts`, and both as CSV files."""
    (tmp_path / "labels").mkdir()
    no, yes = LINES.values()
    (tmp_path / "labels" / "no.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*no, ""]).encode())
    (tmp_path / "labels" / "yes.txt.gz").write_bytes(gzip.compress("\n".join(yes).encode()))
    as_csv(tmp_path / "lines.csv", [(line, label) for label, lines in LINES.items() for line in lines])
    rows = []
    for label, texts in TEXTS.items():
        for name, text in texts.items():
            file = tmp_path / "texts" / label / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.replace("\n", "\r\n").encode())
        rows += [(texts[name], label) for name in sorted(texts, key=lambda name: ("/" in name, name))]
    (tmp_path / "texts" / "README.txt").write_text("left out")
    (tmp_path / "texts" / "no" / ".hidden.txt").write_text("left out")
    as_csv(tmp_path / "texts.csv", rows)
    return tmp_path


@pytest.mark.parametrize(
    ("uri", "table"),
    [(["labels/*.txt", "labels/*.txt.gz"], "lines"), (BOTH, "lines"), ("texts", "texts")],
)
def test_texts_have_the_bits_of_a_table(root: Path, uri: str | list[str], table: str) -> None:
    assert bits_of(load_from(root, uri)) == bits_of(load_from(root, f"{table}.csv"))


@pytest.mark.parametrize("form", [{}, {"decimal": ",", "delimiter": ";", "encoding": "utf-16"}])
def test_what_is_uploaded_has_the_same_bits(root: Path, form: dict[str, str]) -> None:
    if form:
        for file in (*(root / "texts").rglob("*.[tT]*"), root / "labels" / "no.txt"):
            file.write_bytes(file.read_bytes().decode("utf-8-sig").encode("utf-16"))
        (root / "labels" / "yes.txt.gz").write_bytes(gzip.compress("x\n1,5".encode("utf-16")))
    spec = Dataset.model_validate({"uri": "x", "inputs": INPUTS, "csv": form})
    for number, uri in enumerate((BOTH, ["texts"])):
        (root / str(number)).mkdir()
        packed = pack(data_path(root / one for one in uri), spec, "dataset.uri", root / str(number))
        assert packed.suffix == ".csv"
        assert bits_of(load_from(packed.parent, packed.name, csv=form)) == bits_of(load_from(root, uri, csv=form))


def test_lines_may_be_categories(root: Path) -> None:
    inputs = {"line": {"columns": "text", "categories": True, "buckets": True, "one_hot": True}}
    data = load_from(root, BOTH, inputs=inputs)
    assert bits_of(data) == bits_of(load_from(root, "lines.csv", inputs=inputs))
    message = "dataset.inputs.line.columns[0]: 'no.txt': column 'text': line 3 has no value"
    assert errors_of(root, BOTH, inputs={"line": {"columns": "text", "categories": True}}) == [message]


def test_held_out_texts_are_one_file_for_each_label_too(root: Path) -> None:
    spec = {"uri": "a", "label": "label", "inputs": INPUTS, "validation": {"uri": "b"}}
    both, own = tuple(root / name for name in BOTH), root / "labels" / "no.txt"
    data = load(Dataset.model_validate(spec), both, OUTPUTS, 1, validation=own)
    assert (data.test.rows, set(data.test.y.tolist())) == (5, {0})


@given(st.text(st.sampled_from("ab\r\n\x0c\x85\u2028é"), max_size=30), st.integers(1, 4))
def test_lines_are_those_of_python(text: str, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "_CHUNK", chunk)
        patch.setattr(text_files, "open_bytes", lambda path: io.BytesIO(text.encode()))
        lines = [line for part in text_files.read_lines(Path("a.txt"), PLAIN) for line in part]
    assert lines == [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


@given(st.binary(max_size=40), st.sampled_from(ENCODINGS))
def test_any_bytes_are_lines_or_refused(content: bytes, encoding: str) -> None:
    with pytest.MonkeyPatch.context() as patch, suppress(text_files.TextError, UnicodeError):
        patch.setattr(text_files, "_CHUNK", 3)
        patch.setattr(text_files, "open_bytes", lambda path: io.BytesIO(content))
        lines = [line for part in text_files.read_lines(Path("a.txt"), Dialect(encoding=encoding)) for line in part]
        assert "\0" not in "".join(lines).encode().decode()


WRONG = {
    "a\ncaf\xe9\n".encode("latin-1"): "is not UTF-8 text in line 2: save it with that encoding, or name its own",
    b"a\r\nb\r\nc\0": "has a NUL character in line 3, which no text has: name its encoding",
    "a\n".encode("utf-16-le"): "has a NUL character in line 1",
    b"x" * 101: "has more than 0 MiB in line 1",
}


@pytest.mark.parametrize("content", WRONG)
def test_a_file_that_is_no_text_is_refused_with_its_line(
    root: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "LONGEST", 100)
    for uri, file in (("labels/*.txt", "labels/other.txt"), ("texts", "texts/yes/other.txt")):
        (root / file).write_bytes(content)
        name = "'other.txt': the file" if uri != "texts" else "'yes/other.txt'"
        problem = WRONG[content] if uri != "texts" or b"xx" not in content else "has more than 0 MiB, and is one sample"
        (error,) = errors_of(root, uri)
        assert error.startswith(f"dataset.uri: {name} {problem}")
        with pytest.raises(InvalidSpec, match="other.txt.*" + problem[:20]):
            pack(root / uri, None, "dataset.uri", root)
        with pytest.raises(InvalidSamples, match="other.txt.*" + problem[:20]):
            list(read_samples(root / (file if uri != "texts" else uri), has_images=False))
    assert load_from(root, BOTH, csv={"encoding": "latin-1"}).train.rows == 8


def test_mistakes_are_explained(root: Path) -> None:
    (root / "labels" / "empty.txt").touch()
    (root / "labels" / "long.txt").write_text("short\n" + "x" * 70_000)
    (root / "texts" / "no" / "long.txt").write_text("x" * 70_000)
    (one,) = errors_of(root, "labels/no.txt")
    assert one.startswith(
        "dataset.uri: all lines of a text file have the label of its name: name a file for each label"
    )
    assert errors_of(root, ["labels/no.txt", "labels/empty.txt"]) == ["dataset.uri: 'empty.txt': the file has no rows"]
    (long,) = errors_of(root, ["labels/no.txt", "labels/long.txt"])
    assert long.endswith("in line 2 is longer than 65536 bytes")
    (long,) = errors_of(root, "texts")
    assert long.endswith("in no/long.txt is longer than 65536 bytes")
    (lines,) = errors_of(root, "labels")
    assert lines.endswith("'labels/*.txt' reads each line as a sample, with the file's name as its label")
    with pytest.raises(InvalidSpec, match="'labels' has no texts: its sub-folders"):
        pack(root / "labels", None, "dataset.uri", root)
    (mixed,) = errors_of(root, ["labels/no.txt", "lines.csv"])
    assert mixed.endswith("the file is CSV, 'no.txt' is TEXT: use one format")
    with pytest.raises(InvalidSpec, match=r"'lines.csv' is in another format than 'no.txt'"):
        pack((root / "labels" / "no.txt", root / "lines.csv"), None, "dataset.uri", root)
    for uri in ("labels/*.txt", "texts"):
        (absent,) = errors_of(root, uri, inputs={})
        assert "text: {tokens: word, length: 100}" in absent
    for inputs, is_read in ((INPUTS, True), ({}, False)):
        spec = Dataset.model_validate({"uri": "texts", "inputs": inputs})
        if is_read:
            assert local_files(spec, root) == {"dataset.uri": root / "texts"}
        else:
            with pytest.raises(InvalidSpec, match="a folder, which needs an input of images or texts"):
                local_files(spec, root)


def test_predictions_read_what_training_reads(root: Path) -> None:
    def of(path: Path, needed: set[str], **settings: object) -> dict[str, list[str]]:
        parts = list(read_samples(path, needed, has_images=False, **settings))
        return {name: [value for part in parts for value in part.arrays[name]] for name in parts[0].arrays}

    assert of(root / "labels" / "no.txt", {"x"}, most=2) == {"text": LINES["no"]}
    assert of(root / "labels" / "yes.txt.gz", {"label"}) == {"text": LINES["yes"], "label": ["yes"] * 3}
    assert of(root / "texts", {"label"})["label"] == ["no", "no", "yes", "yes"]
    assert of(root / "texts", {"x"}, most=1)["text"] == ["left out", "NA", "two\nlines\n", "", 'a "b", c']
    assert of(root / "labels" / "no.txt", {"x"}, dialect=Dialect(decimal=","))["text"][-1] == "1.5"
    (root / "labels" / "empty.txt").touch()
    assert of(root / "labels" / "empty.txt", {"x"}) == {"text": []}
    (samples,) = read_samples(root / "labels" / "no.txt", {"x"})
    assert samples.named("review").arrays == {"review": LINES["no"]}
    with pytest.raises(InvalidSamples, match="the folder has no texts"):
        of(root / "labels", {"label"})


def test_other_names_and_other_files_are_other_data(root: Path) -> None:
    spec, labels = Dataset.model_validate({"uri": "x", "inputs": INPUTS}), root / "labels"

    def key(path: DataPath) -> str:
        return key_of(spec, [[path]], OUTPUTS, 1, None)

    before, digest = key(labels / "no.txt"), sha256_of(root / "texts")
    (labels / "no.txt").rename(labels / "maybe.txt")
    assert key(labels / "maybe.txt") != before, "the name is the label"
    assert identity(root / "texts") == "", "its files may change without it"
    (root / "texts" / "no" / "a.txt").write_text("other")
    assert sha256_of(root / "texts") != digest
