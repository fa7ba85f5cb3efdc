"""The table of metrics has every metric that a live exporter shows, with its type and labels, and no other."""

import re
import shutil
import subprocess
import urllib.request
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from docs.tables import metrics
from raydient.server.jobs.records import Change, Job, JobEvent
from raydient.server.jobs.states import State
from raydient.server.metrics import Exporter, JobCollector
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Progress
from raydient.spec.job import JobSpec
from raydient.steps.measurements import STEP_SECONDS_BUCKETS, GradientHealth, LayerHealth, Measurements

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = JobSpec.model_validate(
    {
        "dataset": {"uri": "a.csv"},
        "network": {"layers": [{"dense": {"units": 1}}], "loss": {"mean_squared_error": {}}},
    }
)
REPORTS = (
    Progress(
        *(3, 100, 0, 10, 300, 99.5, 1, 2),
        Measurements(
            loss=0.5,
            learning_rate=0.1,
            phase_seconds={"apply": 0.5},
            step_seconds_buckets=tuple(range(len(STEP_SECONDS_BUCKETS) + 1)),
            step_seconds_sum=1.5,
            exchange_bytes={"push": 7},
            gradient_health=GradientHealth(3, (LayerHealth("dense_1", 0.5, 0.125, 2, 0.25),)),
        ),
        restarts={"worker": 1},
    ),
    EpochEnded(1, 3, 0.75, {"train": {"loss": 0.25, "accuracy": 0.5}}),
    CheckpointTaken(3, 0.125, 99),
)


@pytest.fixture(scope="module")
def scrape():
    """All that the exporter shows while one job runs, one waits and one has failed."""
    collector = JobCollector()
    for name, state in {"a": State.RUNNING, "b": State.FAILED, "c": State.QUEUED}.items():
        job = Job(name, SPEC, NOW, state=state, reason="NON_FINITE")
        collector.publish(Change(None, job, tuple(JobEvent(name, 1, NOW, report) for report in REPORTS)))
    exporter = Exporter("127.0.0.1", 0, collector)
    exporter.observe_call("/s/M", "OK", 0.003)
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics") as response:
        text = response.read().decode()
    exporter.close()
    return text


@pytest.fixture(scope="module")
def scraped(scrape):
    """Type and labels of every metric of ours, by name."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in text_string_to_metric_families(scrape)
        if family.name.startswith("raydient_") and not family.name.endswith("_created")
    }


def test_the_table_is_what_a_scrape_shows(scraped):
    rows = [row for row in metrics() if row[0] != "metric"]
    assert {name.strip("`"): (kind, set(re.findall(r"\w+", labels))) for name, kind, labels, _ in rows} == scraped
    assert len(rows) == len(scraped)


def test_promtool_finds_nothing_amiss(scrape):
    program = shutil.which("promtool")
    assert program is not None, "promtool is missing: apt-get install prometheus"
    done = subprocess.run([program, "check", "metrics"], input=scrape, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
