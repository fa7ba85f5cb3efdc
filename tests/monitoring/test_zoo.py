"""Sick networks fire the right alerts and healthy ones none: real jobs, real samples, the shipped alerts.

Each job is trained by processes of its own. The metrics of its reports are scraped at the end of every epoch, as if an
epoch took a minute, and promtool evaluates the shipped rules on these samples.
"""

import re
import shutil
import subprocess
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from raydient.server.embedded import train
from raydient.server.jobs import lifecycle
from raydient.server.jobs.records import Change, Job, JobEvent
from raydient.server.metrics import JobCollector
from raydient.server.training.reports import EpochEnded, Finished, Progress
from raydient.spec.reading import parse_job

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules"
SICK_PAGE = ROOT / "examples" / "sick" / "README.md"
EPOCH_SECONDS = 60
SICK = {
    "vanishing_gradient": ({"RaydientGradientVanishing"}, {"RaydientNotLearning"}),
    "diverging": (
        {"RaydientLossDiverging"},
        {"RaydientGradientExploding", "RaydientGradientVanishing", "RaydientDeadUnits", "RaydientNotLearning"},
    ),
    "not_finite": (
        {"RaydientLossNotFinite", "RaydientJobFailed"},
        {"RaydientLossDiverging", "RaydientGradientExploding", "RaydientNotLearning"},
    ),
    "dead_relu": (
        {"RaydientDeadUnits"},
        {"RaydientGradientVanishing", "RaydientGradientExploding", "RaydientLossDiverging", "RaydientNotLearning"},
    ),
    "shuffled_labels": ({"RaydientNotLearning"}, set()),
}
"""By the name of the example: the alerts that must fire, and the alerts that may fire as a consequence."""


class Timeline:
    """A job with a clock of its own, scraped at the end of every epoch and until its series have vanished.

    Attributes:
        samples: values by the number of the scrape, for every series in its text form.
        scrapes: number of scrapes.
    """

    def __init__(self, spec):
        self.samples, self.scrapes = defaultdict(dict), 0
        self._reports, self._heard = 0, False
        self._collector = JobCollector(self._seconds)
        self._job = None
        self._become(lifecycle.Update(Job("zoo", spec, self._now())))
        self._become(lifecycle.start(self._job, self._now()))

    def hear(self, report):
        """Publish a report of the job. The clock stands still between two scrapes."""
        self._reports += 1
        self._become(lifecycle.report(self._job, self._job.run, self._reports, report, self._now()))
        first = isinstance(report, Progress) and not self._heard
        self._heard |= first
        if first or isinstance(report, EpochEnded):
            self._scrape()
        if isinstance(report, Finished):
            while self._scrape():
                assert self._seconds() < 1e5

    def _seconds(self):
        return self.scrapes * EPOCH_SECONDS

    def _now(self):
        return datetime.fromtimestamp(self._seconds(), UTC)

    def _become(self, update):
        before, self._job = self._job, update.job
        events = tuple(JobEvent(update.job.id, 1, self._now(), event) for event in update.events)
        self._collector.publish(Change(before, update.job, events))

    def _scrape(self):
        """Store all samples and set the clock to the next scrape. Returns the number of samples of the job."""
        samples = [sample for family in self._collector.collect() for sample in family.samples]
        for sample in samples:
            labels = {"job": "raydient"} | sample.labels | {"instance": "localhost:9095"}
            text = ", ".join(f'{key}="{value}"' for key, value in labels.items())
            self.samples[f"{sample.name}{{{text}}}"][self.scrapes] = sample.value
        self.samples['up{job="raydient"}'][self.scrapes] = 1
        self.scrapes += 1
        return sum(sample.labels.get("training_job") == self._job.id for sample in samples)

    def series(self):
        """Yield the samples as input series of promtool."""
        for name, values in self.samples.items():
            last = max(values)
            texts = [repr(values[n]) if n in values else "_" for n in range(last + 1)]
            yield {"series": name, "values": " ".join([*texts, "stale"]).replace("inf", "Inf").replace("nan", "NaN")}


@pytest.fixture
def trained(tmp_path):
    """Return a function that trains a job to its end and returns its timeline."""

    def run(text, data):
        spec = parse_job(re.sub("$", "\ncheckpoints: {interval_seconds: 86400}\n", text, count=1))
        timeline = Timeline(spec)
        train(spec, data, directory=tmp_path / "job", report=timeline.hear)
        return timeline

    return run


@pytest.fixture
def fired(promtool, tmp_path):
    """Return a function that gives the shipped alerts which fire in the course of a timeline."""

    def look(timeline):
        # promtool prints the result of a query only if the test expects another one.
        question = {
            "expr": 'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1d]))',
            "eval_time": f"{timeline.scrapes * EPOCH_SECONDS}s",
            "exp_samples": [{"labels": "nothing", "value": 0}],
        }
        test = {
            "interval": f"{EPOCH_SECONDS}s",
            "input_series": list(timeline.series()),
            "promql_expr_test": [question],
        }
        document = {"rule_files": [f"{RULES}/*.yml"], "evaluation_interval": "15s", "tests": [test]}
        path = tmp_path / "zoo.yml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        with pytest.raises(AssertionError, match="got:") as answer:
            promtool("test", "rules", path)
        return set(re.findall(r'alertname="(\w+)"', str(answer.value).partition("got:")[2]))

    return look


def job(name):
    """Return the text of an example and the path of its data."""
    text = (ROOT / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
    return text, ROOT / "examples" / "digits.csv"


def check(alerts, name):
    right, consequences = SICK[name]
    assert right <= alerts <= right | consequences


@pytest.mark.parametrize("name", [name for name in SICK if name != "shuffled_labels"])
def test_a_sick_network_fires_the_right_alerts(trained, fired, name):
    check(fired(trained(*job(f"sick/{name}"))), name)


def test_shuffled_labels_fire_the_right_alert(trained, fired, tmp_path):
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", folder)
    (command,) = re.findall(r"```bash\n(.*?)```", SICK_PAGE.read_text(encoding="utf-8"), re.DOTALL)
    subprocess.run(["bash", "-ec", command], cwd=folder / "sick", check=True)
    text, _ = job("sick/shuffled_labels")
    check(fired(trained(text, folder / "sick" / "shuffled.csv")), "shuffled_labels")


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_healthy_network_fires_none(trained, fired, seed):
    text, data = job("digits")
    assert fired(trained(text.replace("seed: 1", f"seed: {seed}"), data)) == set()


def test_ten_healthy_layers_fire_none(trained, fired):
    text, data = job("sick/vanishing_gradient")
    healthy = text.replace("sigmoid", "relu").replace("{sgd: {learning_rate: 0.1}}", "{adam: {learning_rate: 0.003}}")
    assert fired(trained(healthy, data)) == set()


def test_the_page_lists_all_sick_networks():
    rows = re.findall(r"^\| \[`(\w+)\.yaml`\].*\[(Raydient\w+)\]", SICK_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, _ in rows} == set(SICK) == {path.stem for path in SICK_PAGE.parent.glob("*.yaml")}
    assert all(alert in SICK[name][0] for name, alert in rows)
