"""A collector with its own clock, and the samples of a scrape."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from raydient.server.jobs.records import Change, Job, JobEvent
from raydient.server.metrics import JobCollector
from raydient.server.training.reports import Progress
from raydient.spec.job import JobSpec
from raydient.steps.measurements import (
    STALENESS_BUCKETS,
    STEP_SECONDS_BUCKETS,
    GradientHealth,
    LayerHealth,
    Measurements,
    Staleness,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = JobSpec.model_validate(
    {
        "display_name": "digits",
        "dataset": {"uri": "a.csv"},
        "network": {"layers": [{"dense": {"units": 1}}], "loss": {"mean_squared_error": {}}},
    }
)
HEALTH = GradientHealth(3, (LayerHealth("dense_1", 0.5, 0.125, 2, 0.25), LayerHealth("relu", dead_units_ratio=0.0)))
BUCKETS = tuple(range(1, len(STEP_SECONDS_BUCKETS) + 2))
STALENESS = Staleness(tuple(range(3, len(STALENESS_BUCKETS) + 4)), 40)
MEASUREMENTS = Measurements(
    loss=0.5,
    learning_rate=0.1,
    phase_seconds={"forward": 0.5, "push": 0.25},
    step_seconds_buckets=BUCKETS,
    step_seconds_sum=1.5,
    exchange_bytes={"push": 7, "pull": 9},
    gradient_health=HEALTH,
    clip_factor=0.25,
    clipped_steps=2,
    skipped_steps=3,
    rollbacks=2,
    saved_bytes=4,
    staleness=STALENESS,
)


def progress(step=3, samples=300, epoch=1, **measured):
    measurements = replace(MEASUREMENTS, **measured)
    return Progress(step, 100, epoch, 10, samples, 99.5, 1, 2, measurements, {"worker": 1}, refused={"peer": 2})


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Scraped:
    """A collector, changes of its jobs, and the samples of a scrape."""

    def __init__(self):
        self.clock = Clock()
        self.collector = JobCollector(self.clock)
        self.states = {}

    def happen(self, job, state, *payloads, after=0, reason=""):
        """Publish that a job is in `state`, None if it is deleted, with an event for each payload, `after` seconds."""
        before, when = self.states.get(job), NOW + timedelta(seconds=after)
        self.states[job] = current = state and Job(job, SPEC, NOW, state=state, reason=reason)
        events = tuple(JobEvent(job, 1, when, payload) for payload in payloads)
        self.collector.publish(Change(before, current, events))

    def samples(self):
        """Values by name and sorted label values, from the text of a scrape."""
        registry = CollectorRegistry()
        registry.register(self.collector)
        families = text_string_to_metric_families(generate_latest(registry).decode())
        return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}
