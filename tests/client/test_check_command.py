"""`raydient check`: layers, memory, gradient check, errors of the data."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from safetensors.numpy import save_file

from raydient.client.cli import program
from raydient.workers import network
from raydient.workers.network import GradientReport, ParameterCheck, Verdict

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(program, [str(a) for a in arguments])


@pytest.fixture
def points(job_yaml: Path) -> Path:
    """Sixty rows of two features for the job file."""
    (job_yaml.parent / "points.csv").write_text("a,b,y\n" + "1,2,3\n2,1,5\n" * 30)
    return job_yaml


def test_check_prints_what_the_job_file_s_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = "raydient check examples/digits_convolution.yaml"
    page = (ROOT / "docs" / "job-file.md").read_text()
    _, _, shown = page.partition(f"$ {command}\n")
    shown, _, _ = shown.partition("```")
    # How many quotients settle, and how large the largest rounding error is, depends on the processor.
    printed, expected = (text.partition("; compared")[0] for text in (run(*command.split()[1:]).stdout, shown))
    assert printed == expected
    assert len(expected) > 500


def test_check_prints_the_layer_table_and_the_gradient_check(points: Path) -> None:
    done = run("check", points)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "48 samples to train on, 12 held out"
    assert [line.split() for line in lines[2:6]] == [
        ["LAYER", "KIND", "OUTPUT", "PARAMETERS", "OPERATIONS", "BYTES"],
        ["input", "2"],
        ["dense_1", "dense", "1", "3", "5", "152"],
        ["total", "3", "5", "152"],
    ]
    assert lines[-5] == "bytes: parameters, gradients, and what backward needs, for 32 samples at a time"
    assert re.fullmatch(r"memory: about \S+ MiB on one machine: data 0\.0 MiB, .*, coordinator \S+ MiB", lines[-3])
    assert lines[-1].startswith("gradient check: right, on 8 samples; compared 3 values of 2 parameters, largest ")
    summary = json.loads(run("check", points, "--json").stdout)
    assert summary["layers"] == [
        {
            "name": "dense_1",
            "kind": "dense",
            "inputs": ["input"],
            "output_shape": [1],
            "parameters": 3,
            "learned": 3,
            "frozen": False,
            "shares": "",
            "operations": 5,
            "bytes": 152,
        }
    ]
    assert (summary["parameters"], summary["operations"], summary["bytes"], summary["microbatch_samples"]) == (
        3,
        5,
        152,
        32,
    )
    checked = summary["gradient_check"]
    assert (checked["result"], checked["samples"]) == ("right", 8)
    assert [(p["name"], p["values"]) for p in checked["parameters"]] == [("dense_1.kernel", 2), ("dense_1.bias", 1)]
    assert checked["largest_relative_error"] == max(p["largest_relative_error"] for p in checked["parameters"])


GRAPH = """\
  layers:
    - dense: {name: encoder, units: 2, inputs: input}
    - shared: {name: again, layer: encoder, inputs: encoder}
    - add: {name: both, inputs: [encoder, again]}
    - dense: {name: head, units: 1}
"""


def test_check_of_a_graph_shows_the_inputs_of_each_layer(points: Path) -> None:
    text = points.read_text()
    points.write_text(re.sub(r"^  layers:.*?(?=^  \w)", GRAPH, text, flags=re.DOTALL | re.MULTILINE))
    lines = run("check", points).stdout.splitlines()
    assert [re.split(r"  +", line)[:5] for line in lines[2:8]] == [
        ["LAYER", "KIND", "INPUTS", "OUTPUT", "PARAMETERS"],
        ["input", "2"],
        ["encoder", "dense", "input", "2", "6"],
        ["again", "dense of encoder", "encoder", "2", "0"],
        ["both", "add", "encoder, again", "2", "0"],
        ["head", "dense", "both", "1", "3"],
    ]


def test_check_shows_the_number_of_learned_parameters(points: Path) -> None:
    layers = "[dense: {units: 4, trainable: false}, batch_normalization, dense: {units: 1}]"
    points.write_text(points.read_text().replace("\n    - dense: {units: 1}", f" {layers}"))
    lines = run("check", points).stdout.splitlines()
    assert [re.split(r"  +", line)[1:4:2] for line in lines[4:7]] == [
        ["dense, frozen", "12"],
        ["batch_normalization", "16"],
        ["dense", "5"],
    ]
    assert lines[7].split()[:2] == ["total", "33"]
    assert lines[9] == "13 of the parameters are learned; others are frozen, or running statistics"


def report(kernel: ParameterCheck) -> GradientReport:
    return GradientReport((kernel, ParameterCheck("dense_1.bias", Verdict.RIGHT, "", 1, 1e-9, (0,), 1.0, 1.0)))


@pytest.mark.parametrize("error", [0.5, math.inf])
def test_check_reports_a_wrong_derivative(points: Path, monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    wrong = ParameterCheck("dense_1.kernel", Verdict.WRONG, "", 2, error, (1, 0), 0.5, 0.25)
    monkeypatch.setattr(network, "check_gradients", lambda *_, **__: report(wrong))
    done = run("check", points)
    assert done.exit_code == 1
    assert done.stderr == "backpropagation is wrong: dense_1.kernel[1, 0] is 0.5, the difference quotient 0.25\n"
    summary = json.loads(run("check", points, "--json").stdout)
    assert summary["gradient_check"]["result"] == "wrong"


def test_check_reports_parameters_that_are_not_resolved(points: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = ParameterCheck("dense_1.kernel", Verdict.NOT_RESOLVED, "every derivative is 0")
    monkeypatch.setattr(network, "check_gradients", lambda *_, **__: report(unknown))
    done = run("check", points)
    assert done.exit_code == 0
    *_, text, reason = done.stdout.splitlines()
    assert text.startswith("gradient check: not resolved, on 8 samples; compared 1 values of 1 parameters, largest ")
    assert text.endswith(" relative error 1.0e-09, dense_1.bias[0]")
    assert reason == "dense_1.kernel is not resolved: every derivative is 0"
    summary = json.loads(run("check", points, "--json").stdout)
    assert summary["gradient_check"]["parameters"][0]["largest_relative_error"] is None
    assert summary["gradient_check"]["parameters"][0]["result"] == "not_resolved"


def test_check_warns_about_an_activation_that_the_loss_applies(points: Path) -> None:
    text = points.read_text().replace("units: 1", "units: 6, activation: softmax")
    points.write_text(re.sub("loss: .*", "loss: softmax_cross_entropy", text))
    done = run("check", points)
    path, words = "network.layers[0].dense.activation", "softmax before softmax_cross_entropy: the loss applies softmax"
    assert done.exit_code == 0
    assert done.stderr.startswith(f"warning: {path}: {words} itself")
    (warning,) = json.loads(run("check", points, "--json").stdout)["warnings"]
    assert (warning["path"], warning["message"].startswith(words)) == (path, True)


def test_check_applies_sample_weights(points: Path) -> None:
    """The first rows have weight 0, so that derivatives without weights differ from those of training."""
    points.write_text(points.read_text().replace("label: y", "label: y\n  sample_weight: w"))
    (points.parent / "points.csv").write_text("a,b,w,y\n" + "1,2,0,3\n" * 30 + "2,1,3,5\n1,1,2,0\n" * 15)
    check = json.loads(run("check", points, "--json").stdout)["gradient_check"]
    assert (check["result"], check["samples"]) == ("right", 8)
    assert {p["result"] for p in check["parameters"]} == {"right"}


def test_check_reports_errors_in_the_data(job_yaml: Path) -> None:
    job_yaml.write_text(job_yaml.read_text().replace("points.csv", "points.csv\n  label: z"))
    done = run("check", job_yaml)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{job_yaml}:4: dataset.label: ")


def test_the_rows_that_are_held_out_are_written(points: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    assert run("check", points, "--held-out", rows).exit_code == 0
    name, *numbers = rows.read_text().splitlines()
    assert name == "row"
    assert len(set(numbers)) == 12
    assert numbers == sorted(numbers, key=int)
    assert 1 <= int(numbers[0]) < int(numbers[-1]) <= 60
    text = points.read_text().replace("uri: points.csv", "uri: points.csv\n  validation: {uri: own.csv}")
    points.write_text(text)
    points.with_name("own.csv").write_text("a,b,y\n1,2,3\n")
    done = run("check", points, "--held-out", rows)
    assert (done.exit_code, done.stderr) == (
        2,
        "no row of the data is held out: `dataset.validation` names other data\n",
    )
    assert run("check", points, "--held-out", tmp_path / "absent" / "rows.csv").exit_code == 2


def test_check_shows_which_parameters_another_model_gives(points: Path) -> None:
    save_file({"old.kernel": np.ones((2, 1), np.float32)}, points.parent / "w.safetensors")
    job = yaml.safe_load(points.read_text())
    weights = {"from": "w.safetensors", "exclude": ["*.bias"], "rename": {"old": "dense_1"}}
    job["training"] = {**job.get("training", {}), "initial_weights": weights}
    points.write_text(yaml.safe_dump(job))
    done = run("check", points)
    assert (
        "\nfrom w.safetensors: dense_1.kernel (old.kernel there)\nby their initializers: dense_1.bias\n" in done.stdout
    )
    assert json.loads(run("check", points, "--json").stdout)["initial_weights"] == {
        "from": "w.safetensors",
        "taken": {"dense_1.kernel": "old.kernel"},
        "initialized": ["dense_1.bias"],
    }
