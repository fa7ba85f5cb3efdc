"""Reports: a page, a model card and JSON of one content, about model files and about jobs."""

import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from google.protobuf.json_format import ParseDict

from raydient.client import extras, load_model
from raydient.client.report import held_out_rows, read_curves, report_of_model
from raydient.client.report_words import settings_text
from raydient.spec.network import Network
from raydient.spec.validation import validate_job
from raydient.v1.training_job_pb2 import GradientHealth, LayerHealth, TrainingProgress
from raydient.v1.training_job_spec_pb2 import TrainingJobSpec
from raydient.workers.network import Dates, Model, Preprocessing, Scaling, Target, build, save_model

EVIL = '<script>alert("x")</script>&$x$|`'
VOID = {"meta", "link", "br", "hr", "img", "input"}
JOB = {
    "display_name": EVIL,
    "dataset": {"uri": "data.csv", "label": "kind", "split": {"test": 0.25}, "features": [EVIL, "b"]},
    "network": {"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"},
    "training": {"batch_size": 4, "optimizer": {"adam": {"learning_rate": 0.5}}},
}
CURVE = "epoch,train_loss,test_loss,test_$m$\n1,1.5,1.25,\n2,0.01,0.5,0.25\n"


class Page(HTMLParser):
    """Checks that every element is closed, and collects elements and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40, 2))
    table = pd.DataFrame({EVIL: values[:, 0], "b": values[:, 1], "kind": np.where(values[:, 0] > 0, EVIL, "no")})
    table.to_csv(tmp_path / "data.csv", index=False)
    return tmp_path / "data.csv"


@pytest.fixture
def network(data: Path) -> Model:
    """A network of two columns, with a record of its training on `data`."""
    spec = Network.model_validate(JOB["network"])
    weights = np.linspace(-1, 1, build(spec, (2,)).layout.size, dtype=np.float32)
    scaling = Scaling(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    inputs = Preprocessing((2,), (EVIL, "b"), is_table=True, transforms=(scaling,))
    layer = {"layer": "dense_1", "gradient_norm": 0.5, "update_ratio": None, "non_finite_values": 0}
    record = {
        "version": "0.1.0",
        "specification": validate_job(JOB).canonical(),
        "numerics": {"numpy": "2.4.6", "probe": "abcd"},
        "data": {"dataset.uri": hashlib.sha256(data.read_bytes()).hexdigest()},
        "epoch": 2,
        "metrics": {"train": {"loss": 0.01}, "test": {"loss": 0.5, "accuracy": 0.75}},
        "gradient_health": {"step": 7, "layers": [layer]},
    }
    return replace(Model.plain(spec, inputs, weights, Target("kind", (EVIL, "no"))), training=record, beside=None)


@pytest.fixture
def path(network: Model, tmp_path: Path) -> Path:
    save_model(tmp_path / "model.safetensors", network)
    (tmp_path / "curve.csv").write_text(CURVE)
    return tmp_path / "model.safetensors"


def test_one_content_as_json_page_and_card(run, path: Path, data: Path) -> None:
    arguments = ["report", path, data, "--history", path.with_name("curve.csv")]
    done = run(*arguments, "--json")
    content = json.loads(done.stdout)
    assert (content["name"], content["title"], content["epoch"]) == ("model.safetensors", EVIL, 2)
    assert content["metrics"]["test"] == {"loss": 0.5, "accuracy": 0.75}
    assert content["curves"][-1] == {"name": "$m$", "split": "test", "epochs": [2], "values": [0.25]}
    evaluation = content["evaluation"]
    assert (evaluation["data"], evaluation["held_out"], evaluation["rows"]) == ("data.csv", True, 10)
    assert sum(map(sum, evaluation["outputs"][0]["confusion"]["counts"])) == 10
    for suffix in (".html", ".md", ".json"):
        output = path.with_suffix(suffix)
        done = run(*arguments, "-o", output)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"{output} is written\n")
    assert json.loads(path.with_suffix(".json").read_text()) == content
    page = path.with_suffix(".html").read_text()
    shown = Page(page)
    assert {"script", "img", "link", "iframe", "object"} & {*shown.tags} == set()
    assert not [value for name, value in shown.attributes if name.startswith("on")]
    assert "//" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page), "nothing outside the page"
    assert "default-src 'none'" in page
    assert shown.tags.count("svg") == 2
    ids = [value for name, value in shown.attributes if name == "id"]
    assert len(ids) == len({*ids})
    assert shown.texts.count(EVIL) > 4
    card = path.with_suffix(".md").read_text()
    assert card.startswith("# \\<script\\>alert(")
    assert not re.search(r"(?<!\\)<script", card.partition("```")[0]), "only in the specification, a code block"
    assert "## Intended use\n\n<!-- To be written by the author. -->" in card
    for text in (page, card):
        assert content["training"]["data"]["dataset.uri"] in text
        assert content["digest"] in text
        assert "learning_rate: 0.5" in text
        assert "10 rows held out of " in text
        assert "75.00 %" in text


def test_settings_are_those_that_a_user_writes() -> None:
    job = {
        "dataset": {"uri": "data.csv", "split": {"method": "stratified"}},
        "network": {
            "layers": [
                "flatten",
                {"dense": {"units": 2, "activation": "relu"}},
                {"dense": {"units": 1}},
            ],
            "loss": "mean_squared_error",
        },
        "training": {"optimizer": {"sgd": {"momentum": 0.5}}},
        "resources": {"workers": 3},
    }
    text = settings_text({"training": {"specification": validate_job(job).canonical()}})
    assert "{}" not in text
    assert yaml.safe_load(text) == job
    assert settings_text({"training": {"specification": {"network": "of another version"}}}) != ""


def test_worst_examples_are_those_of_the_data(path: Path, data: Path) -> None:
    model, table = load_model(path), pd.read_csv(data)
    whole = report_of_model(model, "m", table).content["evaluation"]
    assert (whole["data"], whole["held_out"], whole["rows"]) == ("", False, 40)
    worst = whole["outputs"][0]["worst"]
    outputs = model.predict(table).outputs
    scores = outputs[np.arange(40), np.where(table["kind"] == EVIL, 0, 1)]
    assert [one["row"] - 1 for one in worst] == np.argsort(scores, kind="stable")[:10].tolist()
    first = table.iloc[worst[0]["row"] - 1]
    assert (worst[0]["label"], worst[0]["score"]) == (first["kind"], pytest.approx(scores.min()))
    assert worst[0]["sample"] == {EVIL: first[EVIL], "b": first["b"]}
    held_out = held_out_rows(model.network.training, data)
    part = report_of_model(model, "m", data).content["evaluation"]
    assert {one["row"] - 1 for one in part["outputs"][0]["worst"]} == {*held_out.tolist()}
    assert part["metrics"] == model.evaluate(table.iloc[held_out]).metrics
    data.write_text(data.read_text() + f'"{EVIL.replace(chr(34), chr(34) * 2)}"'.join(["1,1,", "\n"]))
    assert report_of_model(model, "m", data).content["evaluation"]["rows"] == 41, "another file"


def test_numbers_have_residuals_and_their_plots(tmp_path: Path) -> None:
    spec = Network.model_validate({"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"})
    weights = np.ones(build(spec, (1,)).layout.size, np.float32)
    save_model(
        tmp_path / "m.safetensors", Model.plain(spec, Preprocessing((1,), ("x",), is_table=True), weights, Target("y"))
    )
    table = {"x": [1.0, 2.0, 3.0], "y": [2.0, 0.0, 4.5]}
    made = report_of_model(load_model(tmp_path / "m.safetensors"), "m", table)
    output = made.content["evaluation"]["outputs"][0]
    assert [(one["row"], one["residual"]) for one in output["worst"]] == [(2, 3.0), (3, -0.5), (1, 0.0)]
    assert output["points"] == {"labels": table["y"], "predictions": [2.0, 3.0, 4.0]}
    assert Page(made.text(".html")).tags.count("svg") == 2
    assert "## Training" in made.text(".md")


def test_dates_are_shown_as_dates(tmp_path: Path) -> None:
    spec = Network.model_validate({"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"})
    weights = np.ones(build(spec, (1,)).layout.size, np.float32)
    dates = Dates(np.array([0]), np.array(["year"]), np.zeros(1))
    input_ = Preprocessing((1,), ("sold",), is_table=True, transforms=(dates,))
    save_model(tmp_path / "m.safetensors", Model.plain(spec, input_, weights, Target("y")))
    made = report_of_model(load_model(tmp_path / "m.safetensors"), "m", {"sold": ["2026-11-30"], "y": [2000.0]})
    assert made.content["evaluation"]["outputs"][0]["worst"][0]["sample"] == {"sold": "2026-11-30"}
    assert "| sold | date | date: year |" in made.text(".md")


def test_a_job_of_the_service(run, service, path: Path, data: Path, tmp_path: Path) -> None:
    spec = ParseDict(validate_job({**JOB, "display_name": "one"}).canonical(), TrainingJobSpec())
    layers = [LayerHealth(layer="dense_1", gradient_norm=0.25, update_ratio=float("inf"))]
    progress = TrainingProgress(step=9, gradient_health=GradientHealth(step=9, layers=layers))
    job = service.add_job(state="FAILED", state_reason="NON_FINITE", state_message="a loss is NaN", progress=progress)
    job.spec.CopyFrom(spec)
    content = json.loads(run("report", "one", "--json").stdout)
    assert (content["state"], content["why"]) == ("FAILED", "NON_FINITE: a loss is NaN")
    assert content["gradient_health"]["layers"][0]["gradient_norm"] == 0.25
    assert "DownloadModel" not in service.calls
    assert run("report", "one", "-o", tmp_path / "failed.html").exit_code == 0
    assert "NON_FINITE: a loss is NaN" in Page((tmp_path / "failed.html").read_text()).texts
    job.state = service.add_job("jobs/other", "SUCCEEDED").state
    job.dataset = f"datasets/{hashlib.sha256(data.read_bytes()).hexdigest()}"
    service.model = path.read_bytes()
    service.model_sha256 = hashlib.sha256(service.model).hexdigest()
    content = json.loads(run("report", "one", data, "--json").stdout)
    assert (content["title"], content["evaluation"]["held_out"], content["evaluation"]["rows"]) == ("one", True, 10)
    assert content["training"]["dataset"] == job.dataset
    assert content["layers"][0]["name"] == "dense_1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header of a history"),
        ("epoch,loss\n1,2\n", "no header of a history"),
        ("epoch,train_loss\n1,x\n", "line 2: an epoch has a number and 1 values"),
        ("epoch,train_loss\n1,1\n2\n", "line 3: an epoch has"),
    ],
)
def test_other_files_are_no_history(run, path: Path, text: str, message: str) -> None:
    curve = path.with_name("curve.csv")
    curve.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_curves(curve)
    done = run("report", path, "--history", curve, "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["reason"]) == (2, "INVALID_HISTORY")


def test_wrong_usage_is_reported_before_the_work(run, service, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the name of a report ends in .html, .md, .json" in run("report", path, "-o", "report.pdf").stderr
    assert "there is no folder" in run("report", path, "-o", path.parent / "no" / "r.md").stderr
    assert "--history is for a model file" in run("report", "one", "--history", path, "--json").stderr
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    done = run("report", path, "-o", path.with_suffix(".html"))
    assert (done.exit_code, "pip install 'raydient[plot]'" in done.stderr) == (1, True)
    assert run("report", path, "-o", path.with_suffix(".md")).exit_code == 0
    assert service.calls == []
