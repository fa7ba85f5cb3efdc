"""docs/operations.md tells every metric that a live exporter shows, with its type and labels, and no other."""

import re
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raydient.server.jobs.records import Change, Job, JobEvent
from raydient.server.jobs.states import State
from raydient.server.metrics import Exporter, JobCollector
from raydient.server.training.reports import STEP_SECONDS_BUCKETS, CheckpointTaken, EpochEnded, Progress

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
REPORTS = (
    Progress(
        *(3, 100, 1, 10, 300, 99.5, 0.1, 0.5, 1, 2),
        restarts={"worker": 1},
        phase_seconds={"apply": 0.5},
        step_seconds_buckets=tuple(range(len(STEP_SECONDS_BUCKETS) + 1)),
        step_seconds_sum=1.5,
        exchange_bytes={"push": 7},
    ),
    EpochEnded(1, 3, 0.75, {"train": {"loss": 0.25, "accuracy": 0.5}}),
    CheckpointTaken(3, 0.125, 99),
)


@pytest.fixture(scope="module")
def scraped():
    """Type and labels of every metric of ours that a scrape shows while a job runs, by name."""
    collector = JobCollector()
    job = Job("a", None, NOW, state=State.RUNNING)
    collector.publish(Change(None, job, tuple(JobEvent("a", 1, NOW, report) for report in REPORTS)))
    exporter = Exporter("127.0.0.1", 0, collector)
    exporter.observe_call("/s/M", "OK", 0.003)
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics") as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    exporter.close()
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in families
        if family.name.startswith("raydient_") and not family.name.endswith("_created")
    }


def test_the_table_is_what_a_scrape_shows(scraped):
    rows = re.findall(r"^\| `(raydient_\w+)` \| (\w+) \|(.*?)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows} == scraped
    assert len(rows) == len(scraped)
