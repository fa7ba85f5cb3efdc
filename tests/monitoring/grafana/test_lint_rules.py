"""Each rule finds what it is for: the committed dashboard with one thing broken."""

import copy

import pytest

from deploy.grafana.lint import RULES, Exceptions, Problem, lint
from deploy.grafana.lint.rules import panels


def first(dashboard, kind="timeseries"):
    return next(panel for panel in panels(dashboard) if panel["type"] == kind)


def variable(dashboard, name):
    return next(found for found in dashboard["templating"]["list"] if found["name"] == name)


def say(expression):
    return lambda dashboard: first(dashboard)["targets"][0].update(expr=expression)


def with_variable(name, /, **settings):
    return lambda dashboard: variable(dashboard, name).update(settings)


def with_panel(**settings):
    return lambda dashboard: first(dashboard).update(settings)


def with_unit(unit):
    return lambda dashboard: first(dashboard)["fieldConfig"]["defaults"].update(unit=unit)


def without_variable(name):
    return lambda dashboard: dashboard["templating"]["list"].remove(variable(dashboard, name))


def second_source(dashboard):
    dashboard["templating"]["list"].append(copy.deepcopy(variable(dashboard, "datasource")))


def unit_of_an_override(dashboard):
    overrides = first(dashboard)["fieldConfig"]["overrides"]
    overrides.append({"matcher": {"id": "byName", "options": "a"}, "properties": [{"id": "unit", "value": "parsec"}]})


def moved_upon_its_neighbour(dashboard):
    one, other = list(panels(dashboard))[:2]
    other["gridPos"]["x"] = one["gridPos"]["x"] + 1


BOTH = 'job=~"$job", instance=~"$instance"'
BREACHES = {
    "template-datasource-rule": (
        without_variable("datasource"),
        second_source,
        with_variable("datasource", name="source"),
        with_variable("datasource", label="Source"),
    ),
    "template-job-rule": (
        without_variable("job"),
        with_variable("job", multi=False),
        with_variable("job", allValue=".*"),
        with_variable("job", label="Scrape"),
        with_variable("job", datasource={"type": "prometheus", "uid": "prometheus"}),
    ),
    "template-instance-rule": (without_variable("instance"), with_variable("instance", multi=False)),
    "template-label-promql-rule": (
        with_variable("job", query="label_value(up, job)"),
        with_variable("job", query="up"),
    ),
    "template-on-time-change-reload-rule": (with_variable("job", refresh=1),),
    "panel-datasource-rule": (
        with_panel(datasource={"type": "prometheus", "uid": "prometheus"}),
        lambda dashboard: first(dashboard)["targets"][0].pop("datasource"),
    ),
    "panel-title-description-rule": (with_panel(title=""), with_panel(description="")),
    "panel-units-rule": (
        with_unit("parsec"),
        lambda dashboard: first(dashboard)["fieldConfig"]["defaults"].pop("unit"),
        unit_of_an_override,
    ),
    "panel-no-targets-rule": (with_panel(targets=[]), say("")),
    "target-rate-interval-rule": (
        say(f"rate(raydient_job_steps_total{{{BOTH}}}[5m])"),
        say(f"sum(irate(raydient_job_steps_total{{{BOTH}}}[1m]))"),
    ),
    "target-job-rule": (
        say('raydient_job_loss{instance=~"$instance"}'),
        say('raydient_job_loss{job="$job", instance=~"$instance"}'),
        say(f'raydient_job_loss{{{BOTH}}} / on (job) raydient_job_epochs{{instance=~"$instance"}}'),
    ),
    "target-instance-rule": (say('raydient_job_loss{job=~"$job"}'),),
    "target-counter-agg-rule": (
        say(f"raydient_job_steps_total{{{BOTH}}}"),
        say(f"sum(raydient_job_steps_total{{{BOTH}}})"),
        say(f"max_over_time(raydient_rpc_seconds_count{{{BOTH}}}[$__rate_interval])"),
    ),
    "uneditable-dashboard": (
        lambda dashboard: dashboard.update(editable=True),
        lambda dashboard: dashboard.pop("editable"),
    ),
    "provisioning": (
        lambda dashboard: dashboard.update(id=7),
        lambda dashboard: dashboard.pop("id"),
        lambda dashboard: dashboard.pop("uid"),
        lambda dashboard: dashboard.update(__inputs=[]),
        with_panel(datasource="${DS_PROMETHEUS}"),
    ),
    "layout": (
        lambda dashboard: first(dashboard)["gridPos"].update(x=20, w=8),
        moved_upon_its_neighbour,
    ),
    "schema": (
        lambda dashboard: dashboard.update(panel=[]),
        lambda dashboard: dashboard.pop("schemaVersion"),
        lambda dashboard: first(dashboard).update(titel="Loss"),
        lambda dashboard: first(dashboard)["options"].update(legends={}),
        lambda dashboard: first(dashboard)["fieldConfig"]["defaults"]["custom"].update(drawStyle="brush"),
        lambda dashboard: first(dashboard)["fieldConfig"]["defaults"]["custom"].update(lineWidth="2"),
        lambda dashboard: first(dashboard)["targets"][0].update(instant="yes"),
        lambda dashboard: first(dashboard)["targets"][0].update(expression="up"),
        lambda dashboard: first(dashboard)["gridPos"].update(w="12"),
        lambda dashboard: first(dashboard).update(links=[{"title": 3}]),
        lambda dashboard: dashboard["templating"]["list"][0].update(type="sourcery"),
        lambda dashboard: dashboard.update(panels={}),
    ),
}
"""What breaks each rule, in the dashboard *Job*."""


@pytest.mark.parametrize(
    ("rule", "breach"), [(rule, breach) for rule, breaches in BREACHES.items() for breach in breaches]
)
def test_a_breach_is_found(committed, rule, breach):
    dashboard = committed["job"]
    breach(dashboard)

    assert list(RULES[rule](dashboard))


def test_every_rule_has_a_breach(committed):
    assert set(BREACHES) == set(RULES)
    assert lint(committed["job"]) == []


def test_a_problem_says_where_and_what(committed):
    dashboard = committed["job"]
    first(dashboard).update(description="")
    dashboard.update(editable=True)

    assert [str(problem) for problem in lint(dashboard)] == [
        "raydient / Job: Loss: has no title or no description (panel-title-description-rule)",
        "raydient / Job: can be edited, but changes would be lost with the next start (uneditable-dashboard)",
    ]


def test_panels_of_collapsed_rows_are_looked_at(committed):
    dashboard = committed["job"]
    row = next(panel for panel in dashboard["panels"] if panel["type"] == "row")
    row.update(
        collapsed=True, panels=[{"type": "stat", "title": "Hidden", "gridPos": {"x": 0, "y": 0, "w": 1, "h": 1}}]
    )

    assert ("Hidden", "has no title or no description") in list(RULES["panel-title-description-rule"](dashboard))


def test_an_exception_holds_for_its_panel_alone(tmp_path):
    (tmp_path / ".lint").write_text(
        "exclusions: {target-job-rule: {reason: all are shown, entries: [{dashboard: D, panel: P}]}}"
    )
    permitted = Problem("target-job-rule", "D", "P", "x")
    others = [
        Problem("target-job-rule", "D", "Q", "x"),
        Problem("target-job-rule", "E", "P", "x"),
        Problem("target-instance-rule", "D", "P", "x"),
    ]

    assert Exceptions.read(tmp_path).without([permitted, *others]) == others


def test_an_exception_without_a_reason_is_none(tmp_path):
    (tmp_path / ".lint").write_text("exclusions: {target-job-rule: {entries: [{dashboard: D, panel: P}]}}")

    with pytest.raises(KeyError):
        Exceptions.read(tmp_path)
