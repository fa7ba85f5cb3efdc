"""Control characters from files are escaped or refused before they reach a terminal or a log."""

import json

import pytest

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.printable import is_printable, printable, printable_json, printable_lines
from raydient.spec.validation import validate_job

EVIL = "red \x1b[31m \x1b]0;title\x07\nnext \x9b2J \u202erev \u2028 \x7f"


@pytest.mark.parametrize("text", ["plain", "Größe 東京　駅", "naïve\N{NO-BREAK SPACE}space", "🏳️‍🌈", ""])
def test_texts_of_any_language_stay(text):
    assert is_printable(text)
    assert printable(text) == text


def test_terminal_controls_are_escaped():
    assert not is_printable(EVIL)
    assert printable(EVIL) == r"red \x1b[31m \x1b]0;title\x07\nnext \x9b2J \u202erev \u2028 \x7f"
    assert printable_lines("a\tb\nc\rd\x1b") == "a\tb\nc\\rd\\x1b"


def test_json_stays_json():
    text = printable_json(json.dumps({EVIL: [EVIL]}, ensure_ascii=False, indent=2))
    assert json.loads(text) == {EVIL: [EVIL]}
    assert all(map(is_printable, text.split("\n")))


def test_quoted_texts_in_errors_are_printable():
    error = FieldError(f"labels.{EVIL}", f'"{EVIL}" is wrong')
    assert is_printable(str(error))


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"display_name": EVIL}, "display_name"),
        ({"labels": {"team": EVIL}}, "labels.team"),
        ({"labels": {EVIL: "a"}}, f"labels.{printable(EVIL)}"),
    ],
)
def test_names_for_people_are_one_line(part, path):
    job = {"dataset": {"uri": "a.csv"}, "network": {"layers": [{"dense": {"units": 2}}], "loss": "hinge"}}
    validate_job(job)
    with pytest.raises(InvalidSpec) as caught:
        validate_job(job | part)
    (error,) = caught.value.errors
    assert error.path == path
    assert "has control characters or line breaks: leave them out" in error.message
    assert is_printable(error.message)
