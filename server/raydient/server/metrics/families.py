"""Metric families: rows of the tables in `service_table` and `job_table`, and their samples for Prometheus."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

T = TypeVar("T")


class Histogram(NamedTuple):
    """The value of a histogram: the cumulative count for each upper bound, and the sum of all observations."""

    buckets: Sequence[tuple[str, float]]
    sum: float


def histogram(bounds: Sequence[float], counts: Sequence[int], total: float) -> Histogram:
    """Return a histogram from its upper bounds and cumulative counts; the last count, of all, has no bound."""
    return Histogram(list(zip((*map(str, bounds), "+Inf"), counts, strict=True)), total)


Samples = Mapping[tuple[str, ...], float | Histogram]
"""Values by the values of a family's labels."""


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One metric. `samples` computes its samples from the state of the service or of one job."""

    name: str
    help: str
    samples: Callable[[T], Samples]
    labels: tuple[str, ...] = ()
    is_histogram: bool = False

    @property
    def kind(self) -> str:
        """The type of the metric; names of counters end in `_total`."""
        return "histogram" if self.is_histogram else "counter" if self.name.endswith("_total") else "gauge"


_METRICS: Mapping[str, type[Any]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def metrics(
    table: Iterable[Family[T]], subjects: Mapping[tuple[str, ...], T], labels: tuple[str, ...]
) -> Iterator[Metric]:
    """Yield the families of a table with the samples of all subjects, by the values of `labels`, which come first."""
    for family in table:
        metric = _METRICS[family.kind](family.name, family.help, labels=(*labels, *family.labels))
        for subject, state in subjects.items():
            for values, value in family.samples(state).items():
                metric.add_metric((*subject, *values), *(value if isinstance(value, Histogram) else (value,)))
        yield metric


def single(value: Callable[[T], float | None]) -> Callable[[T], Samples]:
    """Return a function that gives one sample without labels, or none if the value is None."""
    return lambda state: {} if (known := value(state)) is None else {(): known}
