"""The table of metrics has every metric that a live exporter shows, with its type and labels, and no other."""

import re
import shutil
import subprocess
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from docs.tables import metrics
from raydient.server.jobs.states import State
from raydient.server.metrics import Exporter
from raydient.server.training.reports import CheckpointTaken, EpochEnded

from .scraped import Scraped, progress


@pytest.fixture(scope="module")
def scrape():
    """The text that the exporter serves while one job runs, one waits and one has failed."""
    epoch = EpochEnded(1, 3, 0.75, {"train": {"loss": 0.25, "accuracy": 0.5}})
    scraped = Scraped()
    scraped.happen("a", State.RUNNING, progress(epoch=0), epoch, CheckpointTaken(3, 0.125, 99))
    scraped.happen("b", State.FAILED, reason="NON_FINITE")
    scraped.happen("c", State.QUEUED)
    exporter = Exporter("127.0.0.1", 0, scraped.collector)
    exporter.observe_call("/s/M", "OK", 0.003)
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics") as response:
        text = response.read().decode()
    exporter.close()
    return text


@pytest.fixture(scope="module")
def exported(scrape):
    """Type and labels of every metric of the service, by name."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in text_string_to_metric_families(scrape)
        if family.name.startswith("raydient_") and not family.name.endswith("_created")
    }


def test_the_table_is_what_a_scrape_shows(exported):
    rows = [row for row in metrics() if row[0] != "metric"]
    assert {name.strip("`"): (kind, set(re.findall(r"\w+", labels))) for name, kind, labels, _ in rows} == exported
    assert len(rows) == len(exported)


def test_promtool_accepts_a_scrape(scrape):
    program = shutil.which("promtool")
    assert program is not None, "promtool is missing: apt-get install prometheus"
    done = subprocess.run([program, "check", "metrics"], input=scrape, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
