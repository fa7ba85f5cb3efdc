"""The PromQL of dashboards, for Prometheus' own tools to judge."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from .problems import Json
from .promql import expanded
from .rules import panels, variables

ANYTHING = {"job": ".+", "instance": ".+", "training_job": ".+"}
"""Values of the variables that match all there is."""


def expressions(dashboard: Json, values: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """(what asks, PromQL without variables) for panels, marks and variables.

    `values` are those of the variables, by default such that all there is matches.
    """
    values = ANYTHING if values is None else values
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], expanded(target["expr"], values)
    for mark in dashboard["annotations"]["list"]:
        yield mark["name"], expanded(mark["expr"], values)
    for variable in variables(dashboard, "query"):
        yield f"${variable['name']}", expanded(_of_variable(variable["query"]), values)


def _of_variable(query: str) -> str:
    """The expression of a variable's query: the first argument, where a label follows."""
    found = re.fullmatch(r"\w+\((.+?)(?:, *\w+)?\)", query)
    assert found is not None, query
    return found[1]


def rule_file(asked: Iterable[str]) -> str:
    """A file of recording rules, one for each expression, that `promtool check rules` can read."""
    rules = [{"record": f"expression:{number}", "expr": text} for number, text in enumerate(asked)]
    return json.dumps({"groups": [{"name": "dashboards", "rules": rules}]})
