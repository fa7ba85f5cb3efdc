"""promtool accepts the shipped configuration, rules and alerts; every alert has its tests and its runbook section."""

import re
from pathlib import Path

import pytest
import yaml

from raydient.client.cli import COMMANDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
TESTS = sorted((FOLDER / "tests").glob("*.yml"))
RUNBOOK = "docs/runbook.md"
RUNBOOK_URL = f"https://raydient.example/{RUNBOOK}"


def rules(kind):
    """Return all rules of a kind, `alert` or `record`."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def cases(alert):
    """Return the alerts that the unit tests expect to fire, for each of their questions about an alert."""
    tests = [test for path in TESTS for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]
    questions = [question for test in tests for question in test["alert_rule_test"]]
    return [question["exp_alerts"] for question in questions if question["alertname"] == alert]


def sections():
    """Return the sections of the runbook by their headings."""
    _, *parts = re.split(r"^## (.*)$", (ROOT / RUNBOOK).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


ALERTS = {rule["alert"]: rule for rule in rules("alert")}


def test_configuration_and_rules_are_valid(promtool):
    assert f"{len(RULES)} rule files found" in promtool("check", "config", FOLDER / "prometheus.yml")
    promtool("check", "rules", *RULES)


def test_an_invalid_rule_is_found(promtool, tmp_path):
    bad = tmp_path / "bad.yml"
    bad.write_text("groups: [{name: a, rules: [{record: a, expr: 'rate(b)'}]}]", encoding="utf-8")
    with pytest.raises(AssertionError, match="expected type range vector"):
        promtool("check", "rules", bad)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_are_quiet_when_they_should_not(promtool, path):
    assert "SUCCESS" in promtool("test", "rules", path)


def test_no_scrape_overrides_the_labels_of_prometheus():
    scrapes = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert scrapes[0]["job_name"] == "raydient"
    assert not any("honor_labels" in scrape for scrape in scrapes)


def test_recording_rules_are_named_level_metric_operations():
    assert rules("record")
    for rule in rules("record"):
        level, metric, operations = rule["record"].split(":")
        labels = set(level.replace("training_job", "trainingjob").split("_"))
        assert labels <= {"instance", "trainingjob", "layer", "method", "phase", "split"}
        assert metric.startswith("raydient_")
        assert re.fullmatch("(mean|rate|ratio|increase|min|max|p95|p99)(_(rate|max))?([0-9]+[mh])?", operations)


def test_names_of_alerts_are_unique():
    assert 0 < len(ALERTS) == len(rules("alert"))
    assert all(name.startswith("Raydient") for name in ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_labels_annotations_and_tests(alert):
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOK_URL}#{alert.lower()}"
    assert any(cases(alert)), "no test in which it fires"
    assert not all(cases(alert)), "no test in which it is quiet"


def test_the_runbook_has_a_section_for_each_alert_and_no_other():
    assert set(sections()) == set(ALERTS)
    for text in sections().values():
        assert re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE) == ["Means.", "Users see.", "Look.", "Do."]


def test_the_runbook_names_existing_series_and_commands():
    text = (ROOT / RUNBOOK).read_text(encoding="utf-8")
    recorded = {rule["record"] for rule in rules("record")}
    assert set(re.findall(r"\w+:raydient_\w+:\w+", text)) <= recorded
    assert set(re.findall(r"`raydient (\w+)", text)) <= set(COMMANDS)
