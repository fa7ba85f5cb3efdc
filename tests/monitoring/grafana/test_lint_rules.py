"""Each rule finds the fault that it is for: a committed dashboard with one thing broken."""

import copy

import pytest

from deploy.grafana.lint.queries import panels, selectors
from deploy.grafana.lint.rules import lint


def first(dashboard, kind="timeseries"):
    return next(panel for panel in panels(dashboard) if panel["type"] == kind)


def variable(dashboard, name):
    return next(v for v in dashboard["templating"]["list"] if v["name"] == name)


def with_query(expression):
    return lambda dashboard: first(dashboard)["targets"][0].update(expr=expression)


def with_variable(name, /, **settings):
    return lambda dashboard: variable(dashboard, name).update(settings)


def with_panel(**settings):
    return lambda dashboard: first(dashboard).update(settings)


def with_unit(unit):
    return lambda dashboard: first(dashboard)["fieldConfig"]["defaults"].update(unit=unit)


def second_source(dashboard):
    dashboard["templating"]["list"].append(copy.deepcopy(variable(dashboard, "datasource")))


def unit_of_an_override(dashboard):
    overrides = first(dashboard)["fieldConfig"]["overrides"]
    overrides.append({"matcher": {"id": "byName", "options": "a"}, "properties": [{"id": "unit", "value": "parsec"}]})


def moved_upon_its_neighbour(dashboard):
    one, other = list(panels(dashboard))[:2]
    other["gridPos"]["x"] = one["gridPos"]["x"] + 1


BOTH = 'job=~"$job", instance=~"$instance"'
BREACHES = [
    (lambda dashboard: dashboard["templating"]["list"].remove(variable(dashboard, "datasource")), "one data source"),
    (second_source, "one data source"),
    (with_variable("datasource", name="source"), "one data source"),
    (with_variable("job", datasource={"type": "prometheus", "uid": "prometheus"}), "reads"),
    (with_panel(datasource={"type": "prometheus", "uid": "prometheus"}), "reads"),
    (lambda dashboard: first(dashboard)["targets"][0].pop("datasource"), "reads None"),
    (with_panel(title=""), "lacks a title"),
    (with_panel(description=""), "lacks a title"),
    (with_panel(targets=[]), "or a query"),
    (with_unit("parsec"), "unit 'parsec' is unknown"),
    (lambda dashboard: first(dashboard)["fieldConfig"]["defaults"].pop("unit"), "unit None is unknown"),
    (unit_of_an_override, "unit 'parsec' is unknown"),
    (lambda dashboard: first(dashboard)["gridPos"].update(x=20, w=8), "reaches beyond the grid"),
    (moved_upon_its_neighbour, "overlaps State"),
    (with_query(f"sum(raydient_job_loss{{{BOTH}}}"), "is not PromQL: unclosed left parenthesis"),
    (with_query(f"raydient_job_lost{{{BOTH}}}"), "raydient_job_lost is not a metric"),
    (with_query(f'raydient_job_loss{{{BOTH}, part="test"}}'), "raydient_job_loss has no label part"),
    (with_query(f"rate(raydient_job_steps_total{{{BOTH}}}[5m])"), "something else than $__rate_interval"),
    (with_query(f"sum(irate(raydient_job_steps_total{{{BOTH}}}[1m]))"), "something else than $__rate_interval"),
    (with_query('raydient_job_loss{instance=~"$instance"}'), "not restricted"),
    (with_query('raydient_job_loss{job=~"$job"}'), "not restricted"),
    (with_query('raydient_job_loss{job="$job", instance=~"$instance"}'), "not restricted"),
    (
        with_query(f'raydient_job_loss{{{BOTH}}} / on (job) raydient_job_epochs{{instance=~"$instance"}}'),
        "raydient_job_epochs is not restricted",
    ),
    (
        with_query(f"rate(raydient_exchange_bytes_total{{{BOTH}}}[$__rate_interval])"),
        "raydient_exchange_bytes_total is not restricted to the chosen training_job",
    ),
    (with_query(f'up{{{BOTH}, training_job=~"$training_job"}}'), "up has no label training_job"),
    (with_query(f"raydient_job_steps_total{{{BOTH}}}"), "is a counter"),
    (with_query(f"sum(raydient_job_steps_total{{{BOTH}}})"), "is a counter"),
    (with_query(f"max_over_time(raydient_rpc_seconds_count{{{BOTH}}}[$__rate_interval])"), "is a counter"),
]
"""A change of the dashboard *Job* and words of the fault that it makes."""


@pytest.mark.parametrize(("breach", "text"), BREACHES, ids=range(len(BREACHES)))
def test_a_fault_is_found(committed, metrics, breach, text):
    dashboard = committed["job"]
    breach(dashboard)

    assert any(text in fault for fault in lint(dashboard, metrics))


def test_a_fault_names_dashboard_and_panel(committed, metrics):
    dashboard = committed["job"]
    first(dashboard).update(description="")

    assert lint(dashboard, metrics) == ["raydient / Job: Loss: lacks a title, a description or a query"]


def test_panels_of_collapsed_rows_are_checked(committed, metrics):
    dashboard = committed["job"]
    row = next(panel for panel in dashboard["panels"] if panel["type"] == "row")
    row.update(
        collapsed=True, panels=[{"type": "stat", "title": "Hidden", "gridPos": {"x": 0, "y": 0, "w": 1, "h": 1}}]
    )

    assert "raydient / Job: Hidden: lacks a title, a description or a query" in lint(dashboard, metrics)


def test_alerts_need_no_chosen_service(committed, metrics):
    asked = [
        s
        for p in panels(committed["service"])
        if p["title"] == "Alerts that fire"
        for s in selectors(p["targets"][0]["expr"])
    ]

    assert [selector.metric for selector in asked] == ["ALERTS"]
    assert lint(committed["service"], metrics) == []
