"""Common parts of all dashboards: identity, time, variables, links, alerts as marks."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType, Panel

from .queries import SOURCE, TRAINING_JOBS, instance_variable, scrape_job_variable, source_variable

SERVICE, JOB, GRADIENT_HEALTH = "raydient-service", "raydient-job", "raydient-gradient-health"
"""The dashboards' uids."""

TITLES = {SERVICE: "raydient / Service", JOB: "raydient / Job", GRADIENT_HEALTH: "raydient / Gradient health"}
RAY = (("Ray: cluster", "rayDefaultDashboard"),)
"""Dashboards that Ray brings, by the uid that it gives them: nodes, processor, memory, object store."""


def frame(uid: str, description: str, *variables: builders.QueryVariable, period: str) -> builders.Dashboard:
    """Return a dashboard without panels over the last `period`; `variables` come after those of the services."""
    dashboard = (
        builders.Dashboard(TITLES[uid])
        .uid(uid)
        .description(description)
        .tags(["raydient"])
        .readonly()
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time(f"now-{period}", "now")
        .refresh("10s")
        .variables([source_variable(), scrape_job_variable(), instance_variable(), *variables])
        .annotation(_alerts("" if uid == SERVICE else f", {TRAINING_JOBS}"))
    )
    for other, title in TITLES.items():
        if other != uid:
            both = SERVICE not in (uid, other)  # a training job is chosen on the two others
            dashboard = dashboard.link(_link(title, other, "${training_job:queryparam}" if both else ""))
    for title, other in RAY:
        dashboard = dashboard.link(_link(title, other, ""))
    return dashboard


def section(
    dashboard: builders.Dashboard, title: str, panels: Sequence[Builder[Panel]], *, repeat: str = ""
) -> builders.Dashboard:
    """Add a row with its panels, from left to right; Grafana repeats it for each value of the variable `repeat`."""
    row = builders.Row(title)
    dashboard = dashboard.with_row(row.repeat(repeat) if repeat else row)
    for panel in panels:
        dashboard = dashboard.with_panel(panel)
    return dashboard


def deep_link(title: str, uid: str, job: str) -> builders.DashboardLink:
    """Return a link from a panel or cell to another dashboard, at the same time; `job` is an expression for its id."""
    builder = builders.DashboardLink(title).type(DashboardLinkType.LINK)
    return builder.url(_url(uid, f"var-training_job={job}") + "&${__url_time_range}")


def _url(uid: str, *parameters: str) -> str:
    return f"/d/{uid}?" + "&".join(
        filter(None, ["${datasource:queryparam}", "${job:queryparam}", "${instance:queryparam}", *parameters])
    )


def _link(title: str, uid: str, parameters: str) -> builders.DashboardLink:
    url = _url(uid, parameters) if uid in TITLES else f"/d/{uid}?${{datasource:queryparam}}"
    builder = builders.DashboardLink(title).type(DashboardLinkType.LINK).icon("dashboard").tooltip(title)
    return builder.url(url).keep_time(True)


def _alerts(matcher: str) -> builders.AnnotationQuery:
    """Return an annotation that marks the times at which an alert of raydient fires."""
    return (
        builders.AnnotationQuery()
        .name("Alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(f'ALERTS{{alertname=~"Raydient.+", alertstate="firing"{matcher}}}')
        .title_format("{{alertname}}")
        .text_format("{{layer}}")
    )
