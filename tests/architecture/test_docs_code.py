"""Markdown files agree with the code: names are defined where a link points, quoted lines exist."""

import ast
import re
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
NAMED = re.compile(r"\[`([\w.]+)`\]\(([^)\s]+\.py)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LEARNING = ROOT / "docs" / "backpropagation.md"


def named(text, page):
    """The names of code in a text with the files that they link to; a link to a file by its own name names none."""
    for name, target in NAMED.findall(text):
        if not name.endswith(".py"):
            yield name, page.parent / target


@cache
def definitions(path):
    """The source of each class, function and constant of a file, by dotted name."""
    text = path.read_text(encoding="utf-8")
    lines, sources = text.splitlines(), {}

    def walk(body, prefix):
        for node in body:
            source = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            match node:
                case ast.ClassDef() | ast.FunctionDef():
                    sources[prefix + node.name] = source
                    walk(node.body, f"{prefix}{node.name}.")
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    sources[prefix + name] = source

    walk(ast.parse(text).body, "")
    return sources


def quotes(page):
    """The Python of a page, each with the name and the file that were linked to last before it."""
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        if fence[1] == "python":
            *_, last = named(text[: fence.start()], page)
            yield fence[2], *last


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_are_defined_where_the_link_points(page):
    for name, path in named(page.read_text(encoding="utf-8"), page):
        assert name in definitions(path), f"{name} in {path.relative_to(ROOT)}"


def test_quoted_lines_stand_in_the_code():
    for quote, name, path in quotes(LEARNING):
        source = definitions(path)[name]
        lines = [line.strip() for line in quote.splitlines()]
        width = len(lines)
        code = source.splitlines()
        places = [n for n in range(len(code)) if [line.strip() for line in code[n : n + width]] == lines]
        assert len(places) == 1, f"{name}:\n{quote}"
        (place,) = places
        assert dedent("\n".join(code[place : place + width])) + "\n" == quote


def test_there_is_something_to_check():
    assert {name for _, name, _ in quotes(LEARNING)} >= {"Dense.forward", "Dense.backward", "Program.backward"}
    assert sum(len(list(named(page.read_text(encoding="utf-8"), page))) for page in PAGES) > 30


def test_a_name_that_is_not_there_is_noticed(tmp_path):
    code = tmp_path / "code.py"
    code.write_text("class A:\n    def f(self): ...\n\n\nB: int = 1\n", encoding="utf-8")
    assert set(definitions(code)) == {"A", "A.f", "B"}
    assert list(named("[`A.g`](code.py), [`code.py`](code.py)", tmp_path / "page.md")) == [("A.g", code)]
