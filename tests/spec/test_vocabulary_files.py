"""Vocabularies in files beside a job file."""

import gzip
from pathlib import Path

import pytest

from raydient.client.data_file import with_job
from raydient.spec import text, vocabulary_files
from raydient.spec.errors import InvalidSpec
from raydient.spec.reading import InvalidJobFile, open_job_file
from raydient.spec.validation import validate_job

JOB = """\
dataset:
  uri: reviews.csv
  inputs:
    review:
      columns: review
      text:
        tokens: {tokens}
        length: 8
        {lowercase}
        vocabulary: {{file: {file}}}
network:
  layers: [{{embedding: {{input_dim: 9, output_dim: 2}}}}, flatten, {{dense: {{units: 2}}}}]
  loss: softmax_cross_entropy
training: {{epochs: 1}}
"""
FIELD = "dataset.inputs.review.text.vocabulary"


def write_job(folder: Path, *, tokens: str = "word", lowercase: str = "", file: str = "tokens.txt") -> Path:
    (folder / "job.yaml").write_text(JOB.format(tokens=tokens, lowercase=lowercase, file=file))
    return folder / "job.yaml"


def vocabulary_of(folder: Path, **settings: str) -> tuple[str, ...]:
    spec = open_job_file(write_job(folder, **settings)).spec
    text_ = spec.dataset.inputs["review"].text
    assert text_ is not None
    return text_.vocabulary


def problems_of(folder: Path, **settings: str) -> list[str]:
    """The messages of the errors, all of the vocabulary and on its line."""
    with pytest.raises(InvalidJobFile) as caught:
        open_job_file(write_job(folder, **settings))
    assert {(error.path, error.line) for error in caught.value.errors} == {(FIELD, 10)}
    return [error.message for error in caught.value.errors]


@pytest.mark.parametrize("content", ["good\nbad\nGrüße", "\ufeffgood\r\nbad\r\nGrüße\r\n"])
def test_each_line_is_a_token(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens.txt").write_bytes(content.encode())
    assert vocabulary_of(tmp_path) == ("good", "bad", "Grüße")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "tokens.txt.gz").write_bytes(gzip.compress(content.encode()))
    assert vocabulary_of(tmp_path, file="deeper/tokens.txt.gz") == ("good", "bad", "Grüße")
    assert vocabulary_of(tmp_path, file=f"{tmp_path}/tokens.txt") == ("good", "bad", "Grüße")


def test_characters_may_be_white_space(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("a\n \n\t\n\u2028\n")
    assert vocabulary_of(tmp_path, tokens="character") == ("a", " ", "\t", "\u2028")


def test_the_job_has_the_tokens_themselves(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("good\nbad\n")
    spec = open_job_file(write_job(tmp_path)).spec
    (tmp_path / "tokens.txt").unlink()
    assert validate_job(spec.canonical()) == spec
    assert spec.canonical()["dataset"]["inputs"]["review"]["text"]["vocabulary"] == ["good", "bad"]


def test_a_job_in_python_may_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("good\nbad\n")
    expected = open_job_file(write_job(tmp_path)).spec
    data = expected.canonical()
    data["dataset"]["inputs"]["review"]["text"]["vocabulary"] = {"file": "tokens.txt"}
    assert with_job(data, None, tmp_path, lambda spec, folder: spec) == expected
    data["training"]["epochs"] = 0
    (tmp_path / "tokens.txt").write_text("good\ngood\n")
    with pytest.raises(InvalidSpec) as caught:
        with_job(data, None, tmp_path, lambda spec, folder: spec)
    assert {error.path for error in caught.value.errors} == {FIELD, "training.epochs"}
    with pytest.raises(InvalidSpec, match="only a job file, `train` and `submit` read"):
        validate_job(data)


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"", {}, '"tokens.txt" is empty: write one token in each line'),
        (b"a\n\nb\n", {}, '"tokens.txt", line 2: it is blank: write one token in each line'),
        (b"a\nb\na\n", {}, '"tokens.txt", line 3: "a" is on line 1 already: leave one of them out'),
        (b"a\nb c\n", {}, '"tokens.txt", line 2: "b c" is not one word'),
        (b"a\nbc\n", {"tokens": "character"}, '"tokens.txt", line 2: "bc" is not one character'),
        (b"a\nB\n", {"lowercase": "lowercase: true"}, '"tokens.txt", line 2: "B" of the vocabulary never occurs'),
        (b"a\nb\xff\n", {}, '"tokens.txt" is not UTF-8 text in line 2: a vocabulary is UTF-8 text'),
        (b"a\0b\n", {}, '"tokens.txt" has a NUL character in line 1, which no text has: a vocabulary is UTF-8'),
        (b"a\nb\nc\nd\ne\nf\n", {}, '"tokens.txt" has more than 5 lines, the most tokens of a vocabulary'),
        (b"a", {"file": "absent.txt"}, '"absent.txt": no such file (looked for '),
        (b"a", {"file": "."}, '".": is not a file'),
        (b"a", {"file": "[a]"}, "a list of tokens, or `{file: PATH}`"),
        (b"a", {"file": "a, more: b"}, "a list of tokens, or `{file: PATH}`"),
    ],
)
def test_mistakes_are_named_with_their_line(
    tmp_path: Path, content: bytes, settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary_files, "MOST_TOKENS", 5)
    (tmp_path / "tokens.txt").write_bytes(content)
    (problem,) = problems_of(tmp_path, **settings)
    assert problem.startswith(message)


def test_many_mistakes_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_files, "SHOWN_LINES", 2)
    (tmp_path / "tokens.txt").write_text("a\n" * 6)
    assert problems_of(tmp_path)[1:] == [
        '"tokens.txt", line 3: "a" is on line 1 already: leave one of them out',
        '"tokens.txt" has 3 more lines that break rules',
    ]
    assert text.MOST_TOKENS == 65_536


@pytest.mark.parametrize(
    "data",
    [
        None,
        3,
        {},
        {"dataset": 3},
        {"dataset": {"inputs": [1]}},
        {"dataset": {"inputs": {"a": {"text": {"length": 2}}}}},
    ],
)
def test_other_jobs_stay_as_they_are(tmp_path: Path, data: object) -> None:
    assert vocabulary_files.with_vocabularies(data, tmp_path) == (data, [])


def test_byte_pairs_have_no_file_either(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("a b\n")
    (problem,) = problems_of(tmp_path, tokens="byte_pair")
    assert problem.startswith("byte pairs are learnt from the training part")
