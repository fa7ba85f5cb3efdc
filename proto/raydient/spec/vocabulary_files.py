"""Vocabularies in files of their own, `vocabulary: {file: PATH}`: UTF-8 text with one token in each line.

Whoever reads a job file reads them too and puts the tokens in their place, so a job has no other form of a vocabulary.
"""

import zlib
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from .csv_text import PLAIN
from .document import path_of
from .errors import FieldError
from .text import MOST_TOKENS, case_problem, kind_problem
from .text_files import TextError, read_lines

SHOWN_LINES = 10
"""Most lines of a file whose errors are listed one by one."""


def with_vocabularies(data: Any, directory: Path) -> tuple[Any, list[FieldError]]:
    """Return a job as plain data with tokens in place of the files that have them, and the errors of the files.

    Args:
        data: the job, valid or not. It is not changed.
        directory: base of relative paths.
    """
    errors: list[FieldError] = []
    inputs = _at(data, "dataset", "inputs")
    read: dict[str, Any] = {}
    for name, input_ in inputs.items():
        text = _at(input_, "text")
        if isinstance(text.get("vocabulary"), Mapping):
            path = path_of(("dataset", "inputs", str(name), "text", "vocabulary"))
            tokens, problems = _tokens(text, directory)
            errors += [FieldError(path, problem) for problem in problems]
            read[name] = {**input_, "text": {**text, "vocabulary": tokens}}
    if not read:
        return data, errors
    return {**data, "dataset": {**data["dataset"], "inputs": {**inputs, **read}}}, errors


def _at(data: Any, *keys: str) -> Mapping[str, Any]:
    """Return the mapping at a path of keys; an empty one if there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _tokens(text: Mapping[str, Any], directory: Path) -> tuple[list[str], list[str]]:
    """Return the tokens of a file, none if it has errors, and these."""
    name = text["vocabulary"].get("file")
    if len(text["vocabulary"]) != 1 or not isinstance(name, str) or not name:
        return [], ["a list of tokens, or `{file: PATH}`, a file with one token in each line, is needed"]
    path = directory / name
    if not path.is_file():
        problem = "is not a file" if path.exists() else "no such file"
        return [], [f'"{name}": {problem} (looked for {path})']
    try:
        tokens = list(islice(chain.from_iterable(read_lines(path, PLAIN)), MOST_TOKENS + 1))
    except TextError as error:
        return [], [f'"{name}" {error.problem}: a vocabulary is UTF-8 text with one token in each line']
    except (OSError, EOFError, zlib.error) as error:
        return [], [f'"{name}" cannot be read: {getattr(error, "strerror", None) or error}']
    if not tokens:
        return [], [f'"{name}" is empty: write one token in each line']
    if len(tokens) > MOST_TOKENS:
        return [], [f'"{name}" has more than {MOST_TOKENS:,} lines, the most tokens of a vocabulary: leave some out']
    problems = [f'"{name}", line {line}: {problem}' for line, problem in _problems(tokens, text)]
    if (more := len(problems) - SHOWN_LINES) > 0:
        problems[SHOWN_LINES:] = [f'"{name}" has {more} more lines that break rules']
    return ([] if problems else tokens), problems


def _problems(tokens: list[str], text: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield the number and the problem of each line that is no token, or a token that an earlier line has."""
    kind = text.get("tokens")
    kind = next(iter(kind), None) if isinstance(kind, Mapping) else kind
    is_lower = text.get("lowercase") is True
    first: dict[str, int] = {}
    for line, token in enumerate(tokens, start=1):
        earlier = first.setdefault(token, line)
        if not token:
            yield line, "it is blank: write one token in each line"
        elif earlier != line:
            yield line, f'"{token}" is on line {earlier} already: leave one of them out'
        else:
            problem = kind_problem(token, kind) if kind in ("character", "word") else ""
            if problem := problem or (case_problem(token) if is_lower else ""):
                yield line, problem
