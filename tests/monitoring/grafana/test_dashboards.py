"""The committed dashboards: what the program writes, without problems, and made of metrics that there are."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.grafana.folder import DASHBOARDS
from deploy.grafana.lint import Exceptions, lint
from deploy.grafana.lint.expressions import expressions, rule_file
from deploy.grafana.lint.promql import selectors
from deploy.grafana.lint.rules import panels
from deploy.grafana.program import dashboards, write
from deploy.grafana.program.gradients import DEAD, LARGE_UPDATE, VANISHING
from deploy.grafana.program.service import FAULTS

ROOT = Path(__file__).parents[3]
RULES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "deploy/prometheus/rules").glob("*.yml")}

PROMETHEUS = {"up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}
"""Series that Prometheus itself or its client library makes."""


def test_what_is_committed_is_what_the_program_writes(tmp_path):
    write(tmp_path)

    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in DASHBOARDS.glob("*.json")}
    assert set(written) == {"service.json", "job.json", "gradient-health.json"}


def test_the_program_writes_the_same_every_time():
    assert dashboards() == dashboards()


def test_there_are_no_problems(committed):
    problems = [problem for dashboard in committed.values() for problem in lint(dashboard)]

    assert Exceptions.read(DASHBOARDS).without(problems) == []


def test_every_exception_is_needed(committed):
    """One that permits nothing hides what it was not meant for."""
    problems = [problem for dashboard in committed.values() for problem in lint(dashboard)]
    permitted = {(p.rule, p.dashboard, p.panel) for p in problems}

    assert permitted == {
        (rule, *place) for rule, places in Exceptions.read(DASHBOARDS).panels.items() for place in places
    }


def test_every_expression_is_promql(committed, promtool, tmp_path):
    asked = [text for dashboard in committed.values() for _, text in expressions(dashboard)]
    path = tmp_path / "expressions.yml"
    path.write_text(rule_file(asked), encoding="utf-8")

    assert f"{len(asked)} rules found" in promtool("check", "rules", path)
    assert len(asked) > 60


def test_an_expression_that_is_not_promql_would_be_found(promtool, tmp_path):
    path = tmp_path / "expressions.yml"
    path.write_text(rule_file(["sum(up", "up"]), encoding="utf-8")

    with pytest.raises(AssertionError, match="unclosed left parenthesis"):
        promtool("check", "rules", path)


def test_every_metric_is_one_that_the_service_tells(committed):
    table = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    told = set()
    for name, kind in re.findall(r"^\| `(raydient_\w+)` \| (\w+) \|", table, re.MULTILINE):
        told |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    asked = {
        selector.metric
        for dashboard in committed.values()
        for _, text in expressions(dashboard)
        for selector in selectors(text)
    }

    assert asked - told - PROMETHEUS == set()
    assert len(asked) > 30


def test_colours_turn_where_alerts_fire():
    rules = "\n".join(RULES.values())

    assert re.search(r"gradient_norm:ratio_max < ([\d.]+)", rules)[1] == f"{VANISHING:g}"
    assert re.search(r"raydient_job_dead_units_ratio > ([\d.]+)", rules)[1] == f"{DEAD:g}"
    assert re.search(r"raydient_job_update_ratio > ([\d.]+)", rules)[1] == f"{LARGE_UPDATE:g}"
    assert all(f"{{{', '.join(matchers)}}}" in rules for matchers in FAULTS)


def test_links_lead_somewhere(committed):
    """To a dashboard of ours or to Ray's; and each of ours to both others."""
    uids = {dashboard["uid"] for dashboard in committed.values()}
    for dashboard in committed.values():
        targets = [re.match(r"/d/([\w-]+)\?", link["url"])[1] for link in dashboard["links"]]
        assert set(targets) == uids - {dashboard["uid"]} | {"rayDefaultDashboard"}
        for text in re.findall(r"/d/([\w-]+)\?", str(dashboard["panels"])):
            assert text in uids


def test_a_job_leads_to_its_gradients(committed):
    links = [link["url"] for panel in panels(committed["job"]) for link in panel.get("links", ())]

    assert links
    assert all("/d/raydient-gradient-health?" in url and "var-training_job=${training_job}" in url for url in links)


def test_provisioning_names_one_data_source_and_the_folder():
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    sources = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (folder / "datasources").iterdir()]
    providers = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (folder / "dashboards").iterdir()]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]

    [[source]] = [found["datasources"] for found in sources]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    [interval] = [job["scrape_interval"] for job in scraped if job["job_name"] == "raydient"]
    assert source["jsonData"]["timeInterval"] == interval
    [[provider]] = [found["providers"] for found in providers]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
