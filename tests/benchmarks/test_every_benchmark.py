"""Every benchmark goes through at its smallest size, as its command line runs it. No figure is judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS

FOLDER = Path(__file__).parents[2] / "benchmarks"
LIBRARIES = {"__main__", "comparison", "members", "one_core", "own_step", "service", "workload"}
ON_RAY = {"clusters", "elastic", "nodes"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.ray if n in ON_RAY else ()) for n in BENCHMARKS])
def test_a_benchmark_goes_through(name, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    command = [sys.executable, FOLDER / f"{name}.py", "--smallest"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["benchmark"] == name


def test_every_script_is_a_benchmark_or_shared_by_them():
    assert {path.stem for path in FOLDER.glob("*.py")} == LIBRARIES | set(BENCHMARKS)
