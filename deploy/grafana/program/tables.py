"""Tables with several queries side by side and a row for each job."""

from collections.abc import Mapping

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue

from .frame import JOB, deep_link
from .job import STATES
from .queries import SERVICES, SOURCE, selector, table_query


def jobs(*, width: int, height: int) -> table.Panel:
    """Return the table of all training jobs that the chosen services report now."""
    columns = {
        "display_name": ("Job", f"max by (training_job, display_name) ({_of('raydient_job_info')})"),
        "state": ("State", f"max by (training_job, state) ({_of('raydient_job_state')})"),
        "Value #C": ("Progress", f"max by (training_job) ({_of('raydient_job_progress_ratio')})"),
        "Value #D": ("Loss", f"max by (training_job) ({_of('raydient_job_loss', split='train')})"),
        "Value #E": ("Workers", f"max by (training_job) ({_of('raydient_job_workers', state='alive')})"),
    }
    panel = _table(
        "Jobs, with those that ended a short while ago",
        "State, progress and loss of each job. The name leads to the job's dashboard.",
        {**{name: title for name, (title, _) in columns.items()}, "training_job": "Id"},
        [expression for _, expression in columns.values()],
    )
    link = deep_link("Open the job", JOB, "${__data.fields.Id}").build()
    return (
        panel.span(width)
        .height(height)
        .sort_by([common.TableSortByFieldState().display_name("Workers").desc(True)])  # what runs comes first
        .override_by_name("Job", [DynamicConfigValue("links", [{"title": link.title, "url": link.url}])])
        .override_by_name("State", _colored(STATES))
        .override_by_name("Progress", _filled())
    )


def alerts(*, width: int, height: int) -> table.Panel:
    """Return the table of raydient's alerts that fire now, for all services and jobs."""
    firing = selector("ALERTS", 'alertname=~"Raydient.+"', 'alertstate="firing"')
    panel = _table(
        "Alerts that fire",
        "By job and layer, where they have one. What to do: docs/runbook.md.",
        {"alertname": "Alert", "severity": "Severity", "training_job": "Job", "layer": "Layer"},
        [f"max by (alertname, severity, training_job, layer) ({firing})"],
    )
    return panel.span(width).height(height).no_value("none")


def _of(metric: str, **labels: str) -> str:
    return selector(metric, *SERVICES, *(f'{label}="{value}"' for label, value in labels.items()))


def _table(title: str, description: str, columns: Mapping[str, str], expressions: list[str]) -> table.Panel:
    """Return a table that joins rows with equal times and labels. `columns`: from field to heading, in order."""
    values = ["Value"] if len(expressions) == 1 else [f"Value #{chr(ord('A') + i)}" for i in range(len(expressions))]
    layout = {
        "excludeByName": {name: True for name in ["Time", *values] if name not in columns},
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    return (
        table.Panel()
        .title(title)
        .description(description)
        .unit("none")
        .datasource(SOURCE)
        .targets([table_query(expression) for expression in expressions])
        .with_transformation(DataTransformerConfig("merge", options={}))
        .with_transformation(DataTransformerConfig("organize", options=layout))
    )


def _filled() -> list[DynamicConfigValue]:
    """Return the properties of an override that draws shares as bars."""
    settings = {"unit": "percentunit", "min": 0, "max": 1, "custom.cellOptions": {"type": "gauge", "mode": "basic"}}
    return [DynamicConfigValue(name, value) for name, value in settings.items()]


def _colored(colors: Mapping[str, str]) -> list[DynamicConfigValue]:
    """Return the properties of an override that colours texts."""
    options = {text: {"color": color, "index": index} for index, (text, color) in enumerate(colors.items())}
    return [
        DynamicConfigValue("mappings", [{"type": "value", "options": options}]),
        DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]
