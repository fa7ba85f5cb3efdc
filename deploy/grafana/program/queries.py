"""The PromQL of the panels, and the variables whose values a reader chooses."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh, VariableSort
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from raydient.server.metrics.job_table import JOBS

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The data source of every panel, query and variable: the Prometheus that the reader chose."""
SERVICES = ('job=~"$job"', 'instance=~"$instance"')
"""Matchers of the chosen services: Prometheus' own labels, the scrape's name and the address."""
TRAINING_JOBS = 'training_job=~"$training_job"'
"""Matcher of the chosen training jobs."""
JOB_METRICS = frozenset(f"{family.name}{part}" for family in JOBS for part in ("", "_bucket", "_sum", "_count"))
"""Metrics with the label `training_job`, by the names of their series."""


def series(metric: str, /, *matchers: str, **labels: str) -> str:
    """Return a selector of the chosen services and, for metrics of a training job, of the chosen training jobs.

    `labels` have to equal the given values; `matchers` are PromQL.
    """
    equal = (f'{label}="{value}"' for label, value in labels.items())
    jobs = (TRAINING_JOBS,) if metric in JOB_METRICS else ()
    return selector(metric, *SERVICES, *jobs, *matchers, *equal)


def selector(metric: str, /, *matchers: str) -> str:
    """Return a selector of these matchers alone."""
    return f"{metric}{{{', '.join(matchers)}}}"


def per_second(metric: str, /, *matchers: str, **labels: str) -> str:
    """Return the rate of a counter."""
    return f"rate({series(metric, *matchers, **labels)}[$__rate_interval])"


def quantiles(histogram: str, /, *matchers: str) -> list[prometheus.Dataquery]:
    """Return queries for the median, 95 % and 99 % of a histogram, whose name comes without `_bucket`."""
    shares = {"median": 0.5, "95 %": 0.95, "99 %": 0.99}
    return [query(quantile(share, histogram, *matchers), legend) for legend, share in shares.items()]


def quantile(share: float, histogram: str, /, *matchers: str, by: str = "le") -> str:
    """Return a quantile of a histogram; `by` are the labels to keep, `le` among them."""
    return f"histogram_quantile({share}, sum by ({by}) ({per_second(f'{histogram}_bucket', *matchers)}))"


def query(expression: str, legend: str = "", *, instant: bool = False) -> prometheus.Dataquery:
    """Return one query of a panel: over the whole time range, or at its end alone."""
    builder = prometheus.Dataquery().expr(expression).legend_format(legend).datasource(SOURCE)
    return builder.instant() if instant else builder.range()


def table_query(expression: str) -> prometheus.Dataquery:
    """Return a query for the rows of a table: one per series, its labels as columns, at the end of the time range."""
    return query(expression, instant=True).format(PromQueryFormat.TABLE)


def source_variable() -> builders.DatasourceVariable:
    """Return the variable for the Prometheus to read."""
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus")


def instance_variable() -> builders.QueryVariable:
    """Return the variable for services, by the address that Prometheus scrapes; all of them at first."""
    everything = VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        _query_variable("instance", "label_values(raydient_build_info, instance)").include_all(True).current(everything)
    )


def scrape_job_variable() -> builders.QueryVariable:
    """Return the variable for the names of scrape jobs, Prometheus' own label `job`; all of them at first."""
    everything = VariableOption(selected=True, text=["All"], value=["$__all"])
    return _query_variable("job", "label_values(raydient_build_info, job)").include_all(True).current(everything)


def training_job_variable() -> builders.QueryVariable:
    """Return the variable for training jobs that reported within the time range, the most recent first.

    The text is display name and id, the value is the id. Each chosen one gets rows of its own.
    """
    reported = _over_range("raydient_job_progress_timestamp_seconds")
    named = f"{reported} * on (training_job, instance) group_left (display_name) {_over_range('raydient_job_info')}"
    text = f'query_result(sort_desc(label_join({named}, "name", " · ", "display_name", "training_job")))'
    pattern = '/[{,]name="(?<text>[^"]+)".*training_job="(?<value>[^"]+)"/'
    return _query_variable("training_job", text).regex(pattern).sort(VariableSort.DISABLED)


def _over_range(metric: str) -> str:
    return f"last_over_time({selector(metric, *SERVICES)}[$__range])"


def _query_variable(name: str, text: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(name.replace("_", " ").title())
        .query(text)
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .all_value(".+")
    )
