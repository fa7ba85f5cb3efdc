"""Values of a dashboard's variables, found as Grafana finds them: by the variables' own queries."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.grafana.lint.promql import expanded
from deploy.grafana.lint.rules import variables

from .prometheus import Prometheus, Series, Window


def choose(dashboard: Mapping[str, Any], prometheus: Prometheus, window: Window, job: str) -> dict[str, str]:
    """Values by name, and their texts by `name:text`.

    All values of a variable that offers all, else the first whose text begins with `job`, else the first.
    """
    chosen: dict[str, str] = {"datasource": "", "__range": f"{round(window.end - window.start)}s"}
    for variable in variables(dict(dashboard), "query"):
        found = list(options(variable, prometheus, window, chosen))
        if not found:
            chosen |= {variable["name"]: ".+", f"{variable['name']}:text": "nothing"}
            continue
        text, value = next((option for option in found if option[0].startswith(job)), found[0])
        if variable.get("includeAll"):
            text, value = "All", variable["allValue"]
        chosen |= {variable["name"]: value, f"{variable['name']}:text": text}
    return chosen


def options(
    variable: Mapping[str, Any], prometheus: Prometheus, window: Window, chosen: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """(text, value) of what a variable offers."""
    function, argument = re.fullmatch(r"(\w+)\((.+)\)", variable["query"]).groups()  # type: ignore[union-attr]
    if function == "label_values":
        expression, label = argument.rsplit(", ", 1)
        found = prometheus.instant(f"count by ({label}) ({expanded(expression, chosen)})", window.end)
        yield from ((series.labels[label], series.labels[label]) for series in found)
        return
    pattern = re.compile(variable.get("regex", "").strip("/").replace("(?<", "(?P<") or "(?P<text>(?P<value>.*))")
    for series in prometheus.instant(expanded(argument, chosen), window.end):
        if match := pattern.search(as_text(series)):
            yield match["text"], match["value"]


def as_text(series: Series) -> str:
    """A series as Grafana gives it to a variable's pattern."""
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(series.labels.items()) if name != "__name__")
    return f"{series.labels.get('__name__', '')}{{{labels}}} {series.values[-1]:g} {series.times[-1] * 1000:.0f}"
