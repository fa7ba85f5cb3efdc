"""What the pictures are made of: answers of a Prometheus, variables, values with units."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from deploy.grafana.preview.__main__ import main
from deploy.grafana.preview.prometheus import Prometheus, PrometheusError, Series, Window
from deploy.grafana.preview.units import scale, text
from deploy.grafana.preview.variables import as_text, choose

WINDOW = Window(1000.0, 1020.0, 5.0)


@pytest.fixture
def answering():
    """Serves what the test says, status and document by the API's method; notes what it was asked."""
    asked, answers = [], {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            asked.append((url.path, {key: value for key, [value] in parse_qs(url.query).items()}))
            status, document = answers[url.path.rpartition("/")[2]]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield Prometheus(f"http://127.0.0.1:{server.server_port}/"), asked, answers
    server.shutdown()
    thread.join()
    server.server_close()


def vector(*results):
    return 200, {"data": {"resultType": "vector", "result": [{"metric": m, "value": [1020, v]} for m, v in results]}}


def test_a_series_has_gaps_where_prometheus_has_none(answering):
    prometheus, asked, answers = answering
    found = [{"metric": {"a": "b"}, "values": [[1000, "1"], [1010, "NaN"], [1015, "+Inf"]]}]
    answers["query_range"] = (200, {"data": {"resultType": "matrix", "result": found}})

    [series] = prometheus.over("up", WINDOW)

    assert series.labels == {"a": "b"}
    np.testing.assert_array_equal(series.values, [1, np.nan, np.nan, np.inf, np.nan])
    np.testing.assert_array_equal(series.times, [1000, 1005, 1010, 1015, 1020])
    assert series.newest == np.inf
    assert asked == [("/api/v1/query_range", {"query": "up", "start": "1000.000", "end": "1020.000", "step": "5.000"})]


def test_a_value_at_one_time(answering):
    prometheus, asked, answers = answering
    answers["query"] = vector(({"a": "b"}, "0.5"))

    [series] = prometheus.instant("up", 1020.0)

    assert (series.labels, series.newest) == ({"a": "b"}, 0.5)
    assert asked == [("/api/v1/query", {"query": "up", "time": "1020.000"})]


def test_a_refusal_is_told_with_its_query(answering):
    prometheus, _, answers = answering
    answers["query"] = (400, {"status": "error", "error": "parse error: unexpected end of input"})

    with pytest.raises(PrometheusError, match=r"sum\(: parse error: unexpected end of input"):
        prometheus.instant("sum(", 1.0)


def test_variables_have_the_values_that_their_queries_bring(committed, answering):
    prometheus, asked, answers = answering
    labels = {"training_job": "0a", "job": "r", "instance": "h:1", "display_name": "digits", "name": "digits · 0a"}
    answers["query"] = vector((labels, "5"), ({**labels, "training_job": "0b", "name": "blobs · 0b"}, "4"))

    chosen = choose(committed["job"], prometheus, WINDOW, "")
    assert (chosen["training_job"], chosen["training_job:text"]) == ("0a", "digits · 0a")
    assert (chosen["job"], chosen["instance"]) == (".+", ".+")
    assert choose(committed["job"], prometheus, WINDOW, "blobs")["training_job"] == "0b"
    assert choose(committed["job"], prometheus, WINDOW, "unheard of")["training_job"] == "0a"
    assert [query["query"] for _, query in asked[:2]] == [
        "count by (job) (raydient_build_info)",
        "count by (instance) (raydient_build_info)",
    ]
    assert 'raydient_job_info{job=~".+", instance=~".+"}[20s]' in asked[2][1]["query"]


def test_variables_without_values(committed, answering):
    prometheus, _, answers = answering
    answers["query"] = vector()

    assert choose(committed["job"], prometheus, WINDOW, "")["training_job:text"] == "nothing"


def test_a_series_as_text():
    at = np.array([1020.0])
    series = Series({"__name__": "up", "job": "0a", "instance": "h:1"}, at, np.array([1.0]))

    assert as_text(series) == 'up{instance="h:1",job="0a"} 1 1020000'


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0, "none", "0"),
        (0.0123456, "none", "0.0123"),
        (4.66e-5, "none", "0.0000466"),
        (30000, "none", "30000"),
        (12345, "short", "12.3 K"),
        (0.5, "percentunit", "50 %"),
        (0.98111, "percentunit", "98.1 %"),
        (0.00025, "sci", "2.5e-4"),
        (1.0, "sci", "1.0e+0"),
        (0, "s", "0 s"),
        (0.0152, "s", "15.2 ms"),
        (2.5e-7, "s", "0.25 µs"),
        (17856, "s", "4.96 h"),
        (90, "s", "1.5 min"),
        (2 * 1024**2, "bytes", "2 MiB"),
        (0, "bytes", "0 B"),
        (1.5e8, "Bps", "150 MB/s"),
        (4.06, "reqps", "4.06 req/s"),
        (float("nan"), "s", "NaN"),
        (float("inf"), "none", "∞"),
        (float("-inf"), "bytes", "-∞"),
    ],
)
def test_values_with_units(value, unit, words):
    assert text(value, unit) == words


def test_decimals_are_kept():
    assert text(4.96, "none", 1) == "5.0"
    assert text(0.5, "percentunit", 2) == "50.00 %"


@pytest.mark.parametrize(
    ("value", "unit", "size"),
    [(0.02, "s", 1e-3), (0, "s", 1.0), (3e6, "bytes", 1024**2), (0.1, "bytes", 1), (9, "none", 1)],
)
def test_ticks_are_round_in_the_unit_that_is_told(value, unit, size):
    assert scale(value, unit) == size


@pytest.mark.parametrize("option", ["--dashboards", "--output"])
def test_a_folder_that_is_missing_is_told(option, tmp_path, capsys):
    missing = tmp_path / "missing"

    assert main([option, str(missing), "--prometheus", "http://127.0.0.1:9"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.endswith(f"folder {missing} is missing\n")
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_prometheus_that_does_not_answer_is_told(tmp_path, capsys):
    assert main(["--output", str(tmp_path), "--prometheus", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith("error: no Prometheus at http://127.0.0.1:9: ")
    assert list(tmp_path.iterdir()) == []
