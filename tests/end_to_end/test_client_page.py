"""docs/python-client.md: its examples run unchanged, and its tables name every method."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import raydient.client
from raydient.workers.data.source import split_rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python-client.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:50051"


@pytest.fixture
def served(tmp_path):
    """The address of a service that this test starts."""
    command = [sys.executable, "-m", "raydient.client.cli", "serve", "--state", str(tmp_path / "state")]
    ports = ["--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
    with subprocess.Popen([*command, *ports], stderr=subprocess.PIPE, text=True) as server:
        match = next((m for line in server.stderr if (m := re.match(r"raydient serving on ([^,\s]+)", line))), None)
        yield match[1]
        server.terminate()
        server.communicate()


def test_the_examples_run(served, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", "examples")
    example, local, training, *_ = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert ADDRESS in example
    exec(example.replace(ADDRESS, served), names := {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("jobs/")
    assert printed[-1] == "[0 1 2 3 4] (5, 10)"
    exec(local, {})
    described, *predicted = capsys.readouterr().out.splitlines()
    assert described.startswith("<LocalModel of digit from 64 features, digest ")  # which depends on the machine
    assert "\n".join(predicted) in PAGE
    exec(training, names)
    assert capsys.readouterr().out in PAGE
    assert names["result"].digest == names["model"].digest, "the digest that the service computed"
    held_out = names["table"].iloc[split_rows(1, len(names["table"]), 0.2)[1]]
    metrics = names["result"].model.evaluate(held_out).metrics
    for name, value in metrics.items():
        assert value == pytest.approx(names["result"].history.curve(name, "test")[1][-1], rel=1e-12)
    assert {"accuracy.png", "digits.safetensors", "digits.onnx"} <= {path.name for path in tmp_path.iterdir()}


def test_the_tables_name_every_method():
    documented = set(re.findall(r"`(\w+)\(", PAGE))
    for kind in (raydient.client.Client, raydient.client.Job):
        methods = {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}
        assert methods - {"close"} <= documented
