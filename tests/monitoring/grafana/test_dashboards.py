"""The committed dashboards equal what the program writes, have no faults and ask for metrics that exist."""

import json
import re
from pathlib import Path

import pytest
import yaml

from deploy.grafana.folder import DASHBOARDS, FolderError, read
from deploy.grafana.lint.queries import expressions, panels, selectors
from deploy.grafana.lint.rules import lint
from deploy.grafana.program import dashboards, write
from deploy.grafana.program.__main__ import main as program
from deploy.grafana.program.gradients import DEAD, LARGE_UPDATE, VANISHING
from deploy.grafana.program.service import FAULTS

ROOT = Path(__file__).parents[3]
RULES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "deploy/prometheus/rules").glob("*.yml")}


def rule_file(queries):
    """A file of recording rules, one for each query, that `promtool check rules` reads."""
    rules = [{"record": f"expression:{number}", "expr": text} for number, text in enumerate(queries)]
    return json.dumps({"groups": [{"name": "dashboards", "rules": rules}]})


def test_what_is_committed_is_what_the_program_writes(tmp_path):
    write(tmp_path)

    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in DASHBOARDS.glob("*.json")}
    assert set(written) == {"service.json", "job.json", "gradient-health.json"}


def test_the_program_writes_the_same_every_time():
    assert dashboards() == dashboards()


def test_there_are_no_faults(committed, metrics):
    assert [fault for dashboard in committed.values() for fault in lint(dashboard, metrics)] == []


def test_a_folder_that_is_missing_is_an_error(tmp_path, capsys):
    folder = tmp_path / "dashboards"

    assert program([str(folder)]) == 2
    assert capsys.readouterr() == ("", f"error: dashboards folder {folder} is missing\n")
    assert not folder.exists()
    with pytest.raises(FolderError, match="has no dashboard in it"):
        read(tmp_path)


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


def test_every_metric_and_label_of_annotations_and_variables_exists(committed, metrics):
    asked = [s for dashboard in committed.values() for _, text in expressions(dashboard) for s in selectors(text)]

    assert {selector.metric for selector in asked} <= metrics.keys()
    assert len({selector.metric for selector in asked}) > 30


def test_a_training_job_is_chosen_by_display_name_and_id(committed):
    """The pattern of the variable, on a series as Grafana passes it to the pattern."""
    [pattern] = [v["regex"] for v in committed["job"]["templating"]["list"] if v["name"] == "training_job"]
    series = '{display_name="digits",instance="h:1",job="r",name="digits · 0a",training_job="0a"} 5 1020000'

    match = re.search(pattern.strip("/").replace("(?<", "(?P<"), series)
    assert (match["text"], match["value"]) == ("digits · 0a", "0a")


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

    [[source]] = [file["datasources"] for file in sources]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    [interval] = [job["scrape_interval"] for job in scraped if job["job_name"] == "raydient"]
    assert source["jsonData"]["timeInterval"] == interval
    [[provider]] = [file["providers"] for file in providers]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
