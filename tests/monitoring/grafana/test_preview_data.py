"""The parts of the pictures: answers of a Prometheus, the choice of a job, values with units."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from deploy.grafana.preview.__main__ import main
from deploy.grafana.preview.drawing import words
from deploy.grafana.preview.page import variables
from deploy.grafana.preview.prometheus import Prometheus, PrometheusError, Window

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
    matrix = [{"metric": {"a": "b"}, "values": [[1000, "1"], [1010, "NaN"], [1015, "+Inf"]]}]
    answers["query_range"] = (200, {"data": {"resultType": "matrix", "result": matrix}})

    [series] = prometheus.ask("up", WINDOW)

    assert series.labels == {"a": "b"}
    np.testing.assert_array_equal(series.values, [1, np.nan, np.nan, np.inf, np.nan])
    assert [time.timestamp() for time in WINDOW.clock] == [1000, 1005, 1010, 1015, 1020]
    assert series.newest == np.inf
    assert asked == [("/api/v1/query_range", {"query": "up", "start": "1000.000", "end": "1020.000", "step": "5.000"})]


def test_a_value_at_one_time(answering):
    prometheus, asked, answers = answering
    answers["query"] = vector(({"a": "b"}, "0.5"))

    [series] = prometheus.ask("up", WINDOW, instant=True)

    assert (series.labels, series.newest) == ({"a": "b"}, 0.5)
    assert asked == [("/api/v1/query", {"query": "up", "time": "1020.000"})]


def test_a_refusal_is_told_with_its_query(answering):
    prometheus, _, answers = answering
    answers["query"] = (400, {"status": "error", "error": "parse error: unexpected end of input"})

    with pytest.raises(PrometheusError, match=r"sum\(: .*parse error: unexpected end of input"):
        prometheus.ask("sum(", WINDOW, instant=True)


def test_the_training_job_is_the_first_whose_name_begins_so(answering):
    prometheus, asked, answers = answering
    labels = {"training_job": "0a", "display_name": "digits"}
    answers["query"] = vector((labels, "1"), ({"training_job": "0b", "display_name": "blobs"}, "1"))

    values, texts = variables(prometheus, WINDOW, 5.0, "blo")
    assert (values["training_job"], texts) == ("0b", {"training_job": "blobs · 0b"})
    assert (values["job"], values["__range"], values["__rate_interval"]) == (".+", "20s", "20s")
    assert variables(prometheus, WINDOW, 5.0, "")[0]["training_job"] == "0a"
    assert variables(prometheus, WINDOW, 5.0, "unheard of")[0]["training_job"] == ".+"
    assert asked[0][1]["query"] == "last_over_time(raydient_job_info[20s])"


@pytest.mark.parametrize(
    ("value", "defaults", "text"),
    [
        (0.0, {}, "0"),
        (0.0123456, {}, "0.0123"),
        (30000.0, {}, "30000"),
        (4.96, {"decimals": 1}, "5.0"),
        (12345.0, {"unit": "cps"}, "12.3 K c/s"),
        (1000 * 2**10, {"unit": "bytes"}, "1000 KiB"),
        (0.00025, {"unit": "percentunit"}, "0.025 %"),
        (0.98111, {"unit": "percentunit"}, "98.1 %"),
        (0.00025, {"unit": "sci", "decimals": 1}, "2.5e-04"),
        (0.0152, {"unit": "s"}, "15.2 ms"),
        (203.0, {"unit": "s"}, "3.38 min"),
        (2e6, {"unit": "bytes"}, "1.91 MiB"),
        (512.0, {"unit": "bytes"}, "512 B"),
        (0.0, {"unit": "bytes"}, "0 B"),
        (4.23, {"unit": "reqps", "decimals": 1}, "4.23 req/s"),
        (1.5e8, {"unit": "Bps"}, "150 MB/s"),
        (float("nan"), {"unit": "s"}, "nan"),
        (float("inf"), {}, "inf"),
    ],
)
def test_values_with_units(value, defaults, text):
    assert words(value, defaults) == text


def test_a_missing_folder_and_an_absent_prometheus_are_errors(tmp_path, capsys):
    missing = tmp_path / "missing"

    assert main(["http://127.0.0.1:9", "--output", str(missing)]) == 2
    assert capsys.readouterr() == ("", f"error: output folder {missing} is missing\n")
    assert main(["http://127.0.0.1:9", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: no Prometheus at http://127.0.0.1:9: ")
    assert list(tmp_path.iterdir()) == []
