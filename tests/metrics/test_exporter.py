"""The exporter over HTTP."""

import gzip
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raydient.server.errors import StartError
from raydient.server.jobs.states import State
from raydient.server.metrics import Exporter

from .scraped import progress


def test_answers_prometheus_with_compressed_text(scraped):
    scraped.happen("a", State.RUNNING, progress())
    exporter = Exporter("127.0.0.1", 0, scraped.collector)
    headers = {"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1", "Accept-Encoding": "gzip"}
    address = f"http://127.0.0.1:{exporter.port}/metrics"
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        body = gzip.decompress(response.read()).decode()
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(address, b"posted")
    exporter.close()
    assert "raydient_job_steps" in {family.name for family in text_string_to_metric_families(body)}


def test_serves_over_http_and_ends(scraped):
    scraped.happen("a", State.RUNNING, progress())
    exporter = Exporter("127.0.0.1", 0, scraped.collector)
    exporter.observe_call("/s/M", "OK", 0.003)
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics") as response:
        families = {f.name: f for f in text_string_to_metric_families(response.read().decode())}
    assert {"raydient_job_steps", "raydient_build_info", "process_cpu_seconds"} <= set(families)
    buckets = [s for s in families["raydient_rpc_seconds"].samples if s.name.endswith("_bucket")]
    assert [s.value for s in buckets if s.labels["le"] in ("0.0025", "0.005")] == [0, 1]
    with pytest.raises(StartError, match=f"cannot serve metrics on 127.0.0.1:{exporter.port}: address already in use"):
        Exporter("127.0.0.1", exporter.port, scraped.collector)
    exporter.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", exporter.port)):
        pass
