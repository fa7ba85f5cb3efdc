"""The PromQL in dashboards: finding it, filling in variables, and reading its selectors with `promql_parser`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser

Json = dict[str, Any]

RATE_INTERVAL = timedelta(seconds=97)
"""Stands for `$__rate_interval`; no query uses this range by itself."""
VARIABLES = {"__rate_interval": "97s", "__range": "1h"}
"""Grafana's built-in variables with typical values."""
ANYTHING = {"job": ".+", "instance": ".+", "training_job": ".+"}
"""Values of the dashboards' variables that match every series."""


@dataclass(frozen=True, slots=True)
class Selector:
    """`metric{matchers}[range]` and the innermost function or aggregation around it (empty if there is none)."""

    metric: str
    matchers: Mapping[str, tuple[str, str]]
    range: timedelta | None
    function: str


def panels(dashboard: Json) -> Iterator[Json]:
    """Yield every panel but rows, including the panels inside collapsed rows."""
    for panel in dashboard.get("panels", ()):
        if panel.get("type") == "row":
            yield from panel.get("panels") or ()
        else:
            yield panel


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Replace `$name`, `${name}` and `${name:format}` by values; unknown variables stay."""
    known = {**VARIABLES, **values}
    pattern = r"\$(?:\{(?P<braced>\w+)(?::\w+)?\}|(?P<bare>\w+))"
    return re.sub(pattern, lambda match: known.get(match["braced"] or match["bare"], match.group()), text)


def expressions(dashboard: Json) -> Iterator[tuple[str, str]]:
    """Yield (title, PromQL without variables) for each query of panels, annotations and variables."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], expanded(target["expr"], ANYTHING)
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], expanded(annotation["expr"], ANYTHING)
    for variable in dashboard["templating"]["list"]:
        if match := re.fullmatch(r"\w+\((.+?)(?:, *\w+)?\)", variable["query"]):  # of label_values or query_result
            yield f"${variable['name']}", expanded(match[1], ANYTHING)


def selectors(expression: str) -> list[Selector]:
    """Return the selectors of an expression without variables, from left to right. Raises ValueError."""
    result: list[Selector] = []
    _collect(promql_parser.parse(expression), "", None, result)
    return result


def _collect(node: Any, function: str, span: timedelta | None, result: list[Selector]) -> None:
    match node:
        case promql_parser.VectorSelector():
            operators = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
            matchers = {m.name: (operators[str(m.op).rpartition(".")[2]], m.value) for m in node.matchers.matchers}
            result.append(Selector(node.name or "", matchers, span, function))
        case promql_parser.MatrixSelector():
            _collect(node.vector_selector, function, node.range, result)
        case promql_parser.Call():
            for argument in node.args:
                _collect(argument, node.func.name, None, result)
        case promql_parser.BinaryExpr():
            _collect(node.lhs, "", None, result)
            _collect(node.rhs, "", None, result)
        case promql_parser.AggregateExpr() | promql_parser.UnaryExpr() | promql_parser.ParenExpr():
            _collect(node.expr, "", None, result)
        case promql_parser.SubqueryExpr():
            _collect(node.expr, function, node.range, result)
