"""The rules of Grafana's dashboard linter that concern Prometheus, and a few that provisioning needs.

Those of the linter bear its names. Ours are stricter in two points: title, description, unit and data source are
demanded of every panel, not of some types only, and a warning is an error.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

from .problems import Json, Problem
from .promql import selectors
from .schema import departures
from .units import UNITS

CHOSEN = {"type": "prometheus", "uid": "${datasource}"}
"""How a panel, a query or a variable names the data source that the reader chose."""


def lint(dashboard: Json) -> list[Problem]:
    """What is wrong with a dashboard, by every rule."""
    found = []
    for name, rule in RULES.items():
        found += [Problem(name, str(dashboard.get("title", "")), panel, text) for panel, text in rule(dashboard)]
    return found


Found = Iterator[tuple[str, str]]
"""Panel's title (empty for the dashboard itself) and what is wrong."""


def panels(dashboard: Json) -> Iterator[Json]:
    """Every panel but rows, those inside collapsed rows too."""
    for panel in dashboard.get("panels", ()):
        if panel.get("type") == "row":
            yield from panel.get("panels") or ()
        else:
            yield panel


def variables(dashboard: Json, kind: str) -> Iterator[Json]:
    """The variables of a type."""
    yield from (v for v in dashboard.get("templating", {}).get("list", ()) if v.get("type") == kind)


def _targets(dashboard: Json) -> Iterator[tuple[Json, Json]]:
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield panel, target


def _datasource_variable(dashboard: Json) -> Found:
    found = list(variables(dashboard, "datasource"))
    if len(found) != 1:
        yield "", f"has {len(found)} data source variables instead of one"
    for variable in found:
        if (variable["name"], variable.get("label")) != ("datasource", "Data source"):
            yield "", "the data source variable has to be called datasource and labelled Data source"


def _query_variable(name: str) -> Callable[[Json], Found]:
    def rule(dashboard: Json) -> Found:
        variable = next((v for v in variables(dashboard, "query") if v["name"] == name), None)
        if variable is None:
            yield "", f"has no query variable {name}"
            return
        wanted = {"datasource": CHOSEN, "label": name.title(), "multi": True, "allValue": ".+"}
        for key, value in wanted.items():
            if variable.get(key) != value:
                yield "", f"variable {name}: {key} is {variable.get(key)!r} and not {value!r}"

    return rule


def _variable_queries(dashboard: Json) -> Found:
    for variable in variables(dashboard, "query"):
        query = variable.get("query", "")
        if not re.fullmatch(r"(label_names|label_values|metrics|query_result)\(.+\)", query):
            yield "", f"variable {variable['name']}: {query!r} is no query of variables"


def _reload(dashboard: Json) -> Found:
    for variable in variables(dashboard, "query"):
        if variable.get("refresh") != 2:
            yield "", f"variable {variable['name']} is not read anew when the time range changes"


def _panel_datasource(dashboard: Json) -> Found:
    for panel in panels(dashboard):
        for thing in (panel, *panel.get("targets", ())):
            if thing.get("datasource") != CHOSEN:
                yield panel.get("title", ""), f"reads {thing.get('datasource')} and not the chosen data source"


def _title_and_description(dashboard: Json) -> Found:
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title", ""), "has no title or no description"


def _units(dashboard: Json) -> Found:
    for panel in panels(dashboard):
        config = panel.get("fieldConfig", {})
        overrides = [p for override in config.get("overrides", ()) for p in override["properties"] if p["id"] == "unit"]
        for unit in (config.get("defaults", {}).get("unit"), *(p["value"] for p in overrides)):
            if unit not in UNITS:
                yield panel.get("title", ""), f"unit {unit!r} is none"


def _has_targets(dashboard: Json) -> Found:
    for panel in panels(dashboard):
        if not panel.get("targets") or not all(target.get("expr") for target in panel["targets"]):
            yield panel.get("title", ""), "has no query, or an empty one"


def _rate_interval(dashboard: Json) -> Found:
    for panel, target in _targets(dashboard):
        for selector in selectors(target.get("expr", "")):
            if selector.function in ("rate", "irate") and selector.range != "$__rate_interval":
                yield panel.get("title", ""), f"rate over {selector.range} instead of $__rate_interval"


def _matcher(label: str) -> Callable[[Json], Found]:
    def rule(dashboard: Json) -> Found:
        for panel, target in _targets(dashboard):
            for selector in selectors(target.get("expr", "")):
                if selector.matchers.get(label) != ("=~", f"${label}"):
                    yield panel.get("title", ""), f"{selector.metric} is not restricted to the chosen {label}"

    return rule


def _counters(dashboard: Json) -> Found:
    for panel, target in _targets(dashboard):
        for selector in selectors(target.get("expr", "")):
            counter = selector.metric.endswith(("_total", "_bucket", "_count"))
            if counter and selector.function not in ("rate", "irate", "increase"):
                yield panel.get("title", ""), f"counter {selector.metric} is shown as it is"


def _uneditable(dashboard: Json) -> Found:
    if dashboard.get("editable", True):
        yield "", "can be edited, but changes would be lost with the next start"


def _provisionable(dashboard: Json) -> Found:
    if dashboard.get("id", 0) is not None:
        yield "", "id is not null"
    if not re.fullmatch(r"[a-z][a-z0-9-]{7,39}", str(dashboard.get("uid", ""))):
        yield "", "has no fixed uid of 8 to 40 characters"
    if "__inputs" in dashboard or "${DS_" in json.dumps(dashboard):
        yield "", "asks for a data source when it is imported, which provisioning cannot answer"


def _layout(dashboard: Json) -> Found:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard.get("panels", ()):
        grid, title = panel["gridPos"], panel.get("title", "")
        if grid["x"] + grid["w"] > 24:
            yield title, "reaches beyond the grid"
        cells = [(grid["x"] + i, grid["y"] + j) for i in range(grid["w"]) for j in range(grid["h"])]
        for other in sorted({taken[cell] for cell in cells if cell in taken}):
            yield title, f"lies upon {other}"
        taken.update(dict.fromkeys(cells, title))


def _schema(dashboard: Json) -> Found:
    yield from (("", text) for text in departures(dashboard))


RULES: Mapping[str, Callable[[Json], Found]] = {
    "template-datasource-rule": _datasource_variable,
    "template-job-rule": _query_variable("job"),
    "template-instance-rule": _query_variable("instance"),
    "template-label-promql-rule": _variable_queries,
    "template-on-time-change-reload-rule": _reload,
    "panel-datasource-rule": _panel_datasource,
    "panel-title-description-rule": _title_and_description,
    "panel-units-rule": _units,
    "panel-no-targets-rule": _has_targets,
    "target-rate-interval-rule": _rate_interval,
    "target-job-rule": _matcher("job"),
    "target-instance-rule": _matcher("instance"),
    "target-counter-agg-rule": _counters,
    "uneditable-dashboard": _uneditable,
    "provisioning": _provisionable,
    "layout": _layout,
    "schema": _schema,
}
"""By name: what finds a dashboard's breaches. target-promql-rule is promtool's part."""
