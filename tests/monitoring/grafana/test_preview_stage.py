"""The stage of the pictures: a real service and a real Prometheus that scrapes it, and nothing left of them."""

import subprocess
import time

import pytest

from deploy.grafana.preview.play import HEALTHY, SICK, perform
from deploy.grafana.preview.prometheus import Prometheus
from deploy.grafana.preview.stage import StageError, stage

SECONDS = 60.0
"""How long may be waited for a scrape."""


def test_what_is_played_is_scraped(find_program, tmp_path):
    find_program("prometheus")
    with stage(tmp_path) as running:
        perform(running, 8.0)
        prometheus, until = Prometheus(running.prometheus), time.monotonic() + SECONDS
        names = set()
        while not {HEALTHY, SICK} <= names:
            assert time.monotonic() < until, names
            names = {series.labels["display_name"] for series in prometheus.instant("raydient_job_info", time.time())}
            time.sleep(0.2)
        assert [series.newest for series in prometheus.instant('up{job="raydient"}', time.time())] == [1.0]


def test_a_prometheus_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("deploy.grafana.preview.stage.shutil.which", lambda name: None)

    with pytest.raises(StageError, match="prometheus is missing"), stage(tmp_path):
        pass


def test_a_process_that_does_not_answer_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("deploy.grafana.preview.stage.START_SECONDS", 0.0)
    monkeypatch.setattr("deploy.grafana.preview.stage.sys.executable", "false")

    with pytest.raises(StageError, match="nothing answers at http"), stage(tmp_path):
        pass
    assert (tmp_path / "service.log").exists()


def test_its_processes_end(tmp_path):
    started = []
    with stage(tmp_path) as running:
        started.append(running.process)
    assert subprocess.run(["kill", "-0", str(started[0])], capture_output=True, check=False).returncode != 0
