"""English that a machine can check: beginnings of docstrings and comments, words to avoid, names of variables."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("proto", "server", "workers", "client", "deploy", "benchmarks", "examples", "tests")
OPENINGS = re.compile(r"(Of|Those|What|Whether|Who|Whom)\b")
WORDS = re.compile(r"\b(lest|whom|nobody|[Ss]o long(?! as\b))\b")
NAMES = frozenset({"this", "told", "found", "given", "here", "those"})


def room(path: Path) -> str:
    """Return the folder that a file's offences are counted for: `server/jobs`, `tests/api`, `deploy/grafana`."""
    return "/".join([*dict.fromkeys(part for part in path.relative_to(ROOT).parts[:-1] if part != "raydient")][:2])


def offences(source: str) -> Iterator[str]:
    """Yield a line for each offence in the source of a module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as text)) if OPENINGS.match(text.lstrip()):
                yield f"{node.lineno}: a docstring begins with {text.split()[0]!r}"
            case ast.Constant(value=str() as text):
                yield from (f"{node.lineno}: {word!r} in a text" for word in WORDS.findall(text))
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                if name.strip("_") in NAMES:
                    yield f"{node.lineno}: a variable is called {name!r}"
    previous = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text, line = token.string.lstrip("#: "), token.start[0]
            yield from (f"{line}: {word!r} in a comment" for word in WORDS.findall(text))
            if line != previous + 1 and OPENINGS.match(text):
                yield f"{line}: a comment begins with {text.split()[0]!r}"
            previous = line


FILES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if "_pb2" not in path.name and path != Path(__file__)
)
ROOMS = sorted({room(path) for path in FILES})


def of_room(name: str) -> list[str]:
    """Return the offences of a room's files."""
    return [
        f"{path.relative_to(ROOT)}:{text}"
        for path in FILES
        if room(path) == name
        for text in offences(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_is_written_in_plain_english(name: str) -> None:
    assert of_room(name) == []


@pytest.mark.parametrize(
    "source",
    [
        '"""Of the last step."""',
        'class A:\n    x = 1\n    """What it was."""',
        "# Whether it runs.",
        "x = 'waits so long'",
        "x = 1  # nobody knows",
        "this = 1",
        "def f(given): ...",
        "self._found = 1",
        "for here in (): ...",
    ],
)
def test_an_offence_is_noticed(source: str) -> None:
    assert len(list(offences(source))) == 1


@pytest.mark.parametrize(
    "source", ['"""Often the last step."""', "x = 'as so long as it runs'", "# one\n# Of two lines"]
)
def test_plain_english_is_accepted(source: str) -> None:
    assert list(offences(source)) == []
