"""The rules. Each is a generator of (panel's title or empty, text) for what it finds wrong in a dashboard."""

from collections.abc import Callable, Iterator, Mapping, Set

from .queries import RATE_INTERVAL, Json, Selector, expanded, panels, selectors

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
"""The data source that the reader chooses on top of each dashboard."""
UNITS = frozenset({"none", "sci", "percentunit", "bytes", "Bps", "s", "reqps", "cps"})
"""Units in use. Grafana has more, and shows an unknown one as plain text beside the number without a complaint."""
SERVICE = frozenset({"job", "instance"})
"""Labels of every metric of a service: the reader chooses their values, and alerts may lack them."""

Findings = Iterator[tuple[str, str]]
Metrics = Mapping[str, frozenset[str] | None]
"""The labels of each metric beside `job` and `instance`; None where any label is possible."""


def lint(dashboard: Json, metrics: Metrics) -> list[str]:
    """Return a line for each fault of a dashboard whose queries may ask for `metrics`."""
    rules: list[Callable[[Json], Findings]] = [described, sources, units, layout, lambda d: promql(d, metrics)]
    return [": ".join(filter(None, (dashboard["title"], *finding))) for rule in rules for finding in rule(dashboard)]


def described(dashboard: Json) -> Findings:
    """Each panel has a title, a description and a query."""
    for panel in panels(dashboard):
        queries = [target.get("expr") for target in panel.get("targets", ())] or [None]
        if not all((panel.get("title"), panel.get("description"), *queries)):
            yield panel.get("title", ""), "lacks a title, a description or a query"


def sources(dashboard: Json) -> Findings:
    """Panels, queries and variables read the data source that the reader chooses."""
    variables = dashboard["templating"]["list"]
    if [v["name"] for v in variables if v["type"] == "datasource"] != ["datasource"]:
        yield "", "needs exactly one data source variable, called datasource"
    for variable in variables:
        if variable["type"] == "query" and variable.get("datasource") != SOURCE:
            yield f"${variable['name']}", f"reads {variable.get('datasource')}"
    for panel in panels(dashboard):
        for part in (panel, *panel.get("targets", ())):
            if part.get("datasource") != SOURCE:
                yield panel.get("title", ""), f"reads {part.get('datasource')}"


def units(dashboard: Json) -> Findings:
    """Each panel and each override of a unit names one of `UNITS`."""
    for panel in panels(dashboard):
        config = panel.get("fieldConfig", {})
        overrides = [p for override in config.get("overrides", ()) for p in override["properties"] if p["id"] == "unit"]
        for unit in (config.get("defaults", {}).get("unit"), *(p["value"] for p in overrides)):
            if unit not in UNITS:
                yield panel.get("title", ""), f"unit {unit!r} is unknown"


def layout(dashboard: Json) -> Findings:
    """Panels stay within the grid of 24 columns and do not overlap."""
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard.get("panels", ()):
        grid, title = panel["gridPos"], panel.get("title", "")
        if grid["x"] + grid["w"] > 24:
            yield title, "reaches beyond the grid"
        cells = [(grid["x"] + i, grid["y"] + j) for i in range(grid["w"]) for j in range(grid["h"])]
        for other in sorted({taken[cell] for cell in cells if cell in taken}):
            yield title, f"overlaps {other}"
        taken.update(dict.fromkeys(cells, title))


def promql(dashboard: Json, metrics: Metrics) -> Findings:
    """Queries are PromQL over known metrics and labels, of what the reader chooses, and take rates of counters."""
    chosen = SERVICE | {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            try:
                asked = selectors(expanded(target.get("expr", ""), {}))
            except ValueError as error:
                yield panel.get("title", ""), f"{target.get('expr')!r} is not PromQL: {error}"
                continue
            for selector in asked:
                for text in _faults(selector, metrics, chosen):
                    yield panel.get("title", ""), f"{selector.metric} {text}"


def _faults(selector: Selector, metrics: Metrics, chosen: Set[str]) -> Iterator[str]:
    if selector.metric not in metrics:
        yield "is not a metric of the service"
        return
    labels = metrics[selector.metric]
    for label in sorted(selector.matchers.keys() - SERVICE - labels) if labels is not None else ():
        yield f"has no label {label}"
    for label in sorted(chosen & (SERVICE | labels)) if labels is not None else ():
        if selector.matchers.get(label) != ("=~", f"${label}"):
            yield f"is not restricted to the chosen {label}"
    counter = selector.metric.endswith(("_total", "_bucket", "_count"))
    if counter and selector.function not in ("rate", "irate", "increase"):
        yield "is a counter and is shown as it is"
    if selector.function in ("rate", "irate") and selector.range != RATE_INTERVAL:
        yield "has a rate over something else than $__rate_interval"
