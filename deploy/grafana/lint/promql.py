"""As much PromQL as the rules need: selectors, the range behind each, and the function around it.

Whether an expression is PromQL at all, promtool says.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VARIABLES = {"__rate_interval": "5m", "__interval": "1m", "__range": "1h"}
"""Grafana's own, each with a value that it might have."""

_NUMBER = r"\d[\d.]*(?:e[+-]?\d+)?\w*"
_NAME = r"[a-zA-Z_:][\w:]*"
_WORD = re.compile(rf'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|{_NUMBER}|{_NAME}|\S')
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_WITH_LABELS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_KEYWORDS = _WITH_LABELS | {"bool", "offset", "and", "or", "unless"}


@dataclass(frozen=True, slots=True)
class Selector:
    """`metric{matchers}[range]`, an argument of `function`; empty where there is none, or labels stand in between."""

    metric: str
    matchers: Mapping[str, tuple[str, str]]
    range: str
    function: str


def expanded(expression: str, variables: Mapping[str, str]) -> str:
    """With the values of variables, `$name` or `${name}` or `${name:format}`, for those of Grafana its own ones too."""
    values = {**VARIABLES, **variables}

    def value(found: re.Match[str]) -> str:
        return values.get(found["braced"] or found["bare"], found.group())

    return re.sub(r"\$(?:\{(?P<braced>\w+)(?::\w+)?\}|(?P<bare>\w+))", value, expression)


def selectors(expression: str) -> Iterator[Selector]:
    """Every selector of an expression, from left to right."""
    words = [*_WORD.findall(expression), ""]
    functions: list[str] = []
    place = 0
    while place < len(words) - 1:
        word, after = words[place], words[place + 1]
        place += 1
        if word in _WITH_LABELS and after == "(":  # names of labels are no selectors
            place = words.index(")", place) + 1
        elif word == "(":
            before = words[place - 2] if place > 1 else ""
            functions.append(before if re.fullmatch(_NAME, before) else "")
        elif word == ")":
            functions.pop()
        elif word == "{" or _is_metric(word, after):
            begin = place - 1 if word == "{" else place
            matchers, place = _matchers(words, begin)
            span = words[place][1:-1] if words[place].startswith("[") else ""
            yield Selector("" if word == "{" else word, matchers, span, functions[-1] if functions else "")
            place += bool(span)


def _is_metric(word: str, after: str) -> bool:
    """Rather than a function, an aggregation or a keyword."""
    return bool(re.fullmatch(_NAME, word)) and word not in _KEYWORDS and after not in ("(", "by", "without")


def _matchers(words: list[str], place: int) -> tuple[dict[str, tuple[str, str]], int]:
    """The matchers in braces that begin at a place, if any do, and the place behind them."""
    if words[place] != "{":
        return {}, place
    end = words.index("}", place)
    found = _MATCHER.findall("".join(words[place + 1 : end]))
    return {label: (operator, value) for label, operator, value in found}, end + 1
