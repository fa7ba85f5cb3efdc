"""A real Prometheus with the shipped configuration scrapes a service that trains the examples: every query has data.

A copy of the configuration has another address of the service and shorter intervals, both of which docs/operations.md
names as settings. Its file of Ray's targets does not exist, and a remote write notifies the test of new samples.
"""

import json
import math
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import grpc
import pytest
import yaml

from deploy.grafana.folder import DASHBOARDS, read
from deploy.grafana.lint.queries import expressions, selectors
from deploy.grafana.preview.__main__ import main as preview
from raydient.client import Client, JobNotSucceeded
from raydient.v1 import dataset_service_pb2, training_service_pb2
from raydient.v1.dataset_service_pb2_grpc import DatasetServiceStub
from raydient.v1.training_service_pb2_grpc import TrainingServiceStub
from tests.end_to_end.serving import members

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "prometheus"
EXAMPLES = ROOT / "examples"
SECONDS = 60.0
"""Limit of every wait."""
RULES = [
    rule
    for path in sorted(SHIPPED.glob("rules/*.yml"))
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]


class Prometheus:
    """A running Prometheus, by its HTTP interface; `written` is notified whenever it has new samples."""

    def __init__(self, address, written):
        self._address, self._written, self._began = address, written, time.time()

    @property
    def url(self):
        return f"http://{self._address}"

    def get(self, path, **parameters):
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=SECONDS) as answer:
            return json.load(answer)["data"]

    def numbers(self, expression):
        """Return the numbers that a panel with this query would have shown since this Prometheus began."""
        result = self.get("query_range", query=expression, start=self._began, end=time.time(), step="1s")["result"]
        numbers = [float(value) for series in result for _, value in series["values"]]
        return [number for number in numbers if not math.isnan(number)]

    def wait_for(self, expression):
        """Wait until a query has a result; it is evaluated whenever there are new samples."""
        with self._written:
            answered = self._written.wait_for(lambda: self.get("query", query=expression)["result"], SECONDS)
            assert answered, expression


@contextmanager
def receiving_writes():
    """Receive Prometheus' remote writes; yield the URL, and a condition that each of them notifies."""
    written = threading.Condition()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            with written:
                written.notify_all()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", written
        server.shutdown()
        thread.join()


@contextmanager
def running(command, ready):
    """Run a process; yield it and the match of its first line of standard error that matches. It ends with SIGTERM."""
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if match := re.search(ready, line):
                break
        else:
            pytest.fail("".join(lines))
        yield process, match
    finally:
        process.terminate()
        try:
            process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def configure(folder, metrics, writes):
    """Return a copy of the configuration for a service whose metrics are at an address, with intervals of a second.

    Prometheus announces new samples by writing them to the URL `writes`.
    """
    shutil.copytree(SHIPPED, folder)
    (folder / "targets" / "raydient.yml").write_text(f"- targets: [{metrics}]", encoding="utf-8")
    file = folder / "prometheus.yml"
    text, times = re.subn(r"\b(\w+_interval): \d+s", r"\1: 1s", file.read_text(encoding="utf-8"))
    assert times == 3
    announce = {"remote_write": [{"url": writes, "queue_config": {"batch_send_deadline": "200ms"}}]}
    file.write_text(text.replace("/tmp/ray/", f"{folder}/") + yaml.safe_dump(announce), encoding="utf-8")
    return file


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def lose_a_worker(service):
    worker, *_ = members(service.pid, ["worker"])
    subprocess.run(["kill", "-9", str(worker)], check=True)


def call_badly(address):
    """Make a call with an unknown name, and an upload whose bytes do not match its header."""
    with grpc.insecure_channel(address) as channel:
        with pytest.raises(grpc.RpcError):
            TrainingServiceStub(channel).GetTrainingJob(training_service_pb2.GetTrainingJobRequest(name="jobs/none"))
        header = dataset_service_pb2.UploadDatasetHeader(file_name="a.csv", size_bytes=3, sha256="0" * 64)
        parts = [{"header": header}, {"chunk": b"a,b"}]
        with pytest.raises(grpc.RpcError) as refused:
            DatasetServiceStub(channel).UploadDataset(
                iter([dataset_service_pb2.UploadDatasetRequest(**part) for part in parts])
            )
        assert refused.value.code() is grpc.StatusCode.DATA_LOSS


def live(prometheus, service, address):
    """Bring about all series of rules and panels: jobs that run, wait, fail and succeed, lost workers, failed calls."""
    prometheus.wait_for('up{job="raydient"} == 1')
    digits = yaml.safe_load((EXAMPLES / "digits.yaml").read_text(encoding="utf-8"))
    digits["training"]["epochs"] = 1_000_000  # until it is cancelled
    digits["training"]["clipping"] = {"global_norm": {"limit": 1.0}}
    digits["training"]["consistency"] = {"asynchronous": {}}
    digits["checkpoints"] = {"interval_seconds": 1}
    with Client(address) as client:
        long = client.submit(digits, directory=EXAMPLES)
        examples = ("digits.yaml", "sick/not_finite.yaml", "sick/diverging.yaml")
        jobs = [client.submit(EXAMPLES / name) for name in examples]
        call_badly(address)
        prometheus.wait_for("rate(raydient_job_steps_total[10s]) > 0")
        prometheus.wait_for("raydient_queue_oldest_timestamp_seconds")
        prometheus.wait_for("raydient_job_checkpoints_total > 1")
        prometheus.wait_for('raydient_rpc_seconds_count{code="DATA_LOSS"}')
        lose_a_worker(service)
        prometheus.wait_for("raydient_job_restarts_total > 0")
        call_badly(address)  # the series exist now, so their growth is visible
        client.get(long.name).cancel()
        jobs[0].wait()
        with pytest.raises(JobNotSucceeded):
            jobs[1].wait()
        jobs[2].wait()
    prometheus.wait_for('ALERTS{alertname="RaydientLossDiverging"}')
    # A panel's grid of seconds shows the alert a moment later than its first sample.
    prometheus.wait_for('count_over_time(ALERTS{alertname="RaydientJobFailed", alertstate="firing"}[10s]) > 2')


@pytest.fixture(scope="module")
def prometheus(find_program, tmp_path_factory):
    """A Prometheus that has scraped a busy service."""
    folder = tmp_path_factory.mktemp("prometheus")
    serve = [sys.executable, "-m", "raydient.client.cli", "serve", "--state", folder / "state", "--slots", "2"]
    ports = ["--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
    ready = r"serving on (\S+), metrics on http://(\S+)/metrics"
    with receiving_writes() as (writes, written), running([*serve, *ports], ready) as (service, started):
        address, metrics = started.groups()
        listen = f"127.0.0.1:{free_port()}"
        options = [
            f"--config.file={configure(folder / 'configuration', metrics, writes)}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={listen}",
        ]
        with running([find_program("prometheus"), *options], "ready to receive web requests"):
            watching = Prometheus(listen, written)
            live(watching, service, address)
            yield watching
    shutil.rmtree(folder)


def test_a_query_of_an_unknown_metric_has_no_data(prometheus):
    assert prometheus.numbers("raydient_no_such_metric") == []


def test_the_service_is_scraped_and_every_rule_is_evaluated(prometheus):
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["scrapePool"], target["health"]) == ("raydient", "up")
    evaluated = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(evaluated) == len(RULES)
    assert {(rule["health"], rule.get("lastError", "")) for rule in evaluated} == {("ok", "")}


def test_promtool_accepts_the_scraped_text(prometheus, promtool):
    (target,) = prometheus.get("targets")["activeTargets"]
    with urlopen(target["scrapeUrl"], timeout=SECONDS) as answer:
        assert promtool("check", "metrics", text=answer.read().decode()) == ""


def test_a_training_job_has_its_own_label_beside_that_of_prometheus(prometheus):
    (failed,) = prometheus.get("query", query="raydient_job_failed")["result"]
    assert failed["metric"]["job"] == "raydient"
    assert re.fullmatch("[0-9a-z]{12}", failed["metric"]["training_job"])


def test_every_query_of_every_rule_has_data(prometheus):
    records = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
    # The expression of an alert is empty in a healthy service because of a comparison; its series exist.
    parts = {
        f"{rule['alert']}: {place}": f"{part.metric}{{{matchers(part)}}}"
        for rule in RULES
        if "alert" in rule
        for place, part in enumerate(selectors(rule["expr"]))
    }
    queries = {**records, **{f"{name}, recorded": name for name in records}, **parts}
    assert len(parts) >= len(RULES) - len(records)
    assert {name: query for name, query in queries.items() if not prometheus.numbers(query)} == {}


def matchers(selector):
    return ", ".join(f'{label}{operator}"{value}"' for label, (operator, value) in selector.matchers.items())


@pytest.mark.parametrize("name", read(DASHBOARDS))
def test_every_query_of_every_panel_has_data(prometheus, name):
    queries = list(expressions(read(DASHBOARDS)[name]))
    assert len(queries) > 10
    assert [(title, query) for title, query in queries if not prometheus.numbers(query)] == []


def test_the_dashboards_are_drawn_from_its_data(prometheus, tmp_path):
    assert preview([prometheus.url, "--output", str(tmp_path), "--seconds", "60"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *("service.png", "job.png", "gradient-health.png", "gradient-health-healthy.png")
    }


def test_a_network_that_diverges_within_a_second_has_its_alert(prometheus):
    pending = prometheus.get("series", **{"match[]": 'ALERTS{alertname="RaydientLossDiverging"}'})
    (diverging,) = prometheus.get("query", query='raydient_job_info{display_name="diverging"}')["result"]
    assert diverging["metric"]["training_job"] in {alert["training_job"] for alert in pending}


def test_no_other_alert_fires(prometheus):
    fired = prometheus.get("series", **{"match[]": 'ALERTS{alertstate="firing"}'})
    assert {series["alertname"] for series in fired} == {"RaydientJobFailed", "RaydientLossNotFinite"}
