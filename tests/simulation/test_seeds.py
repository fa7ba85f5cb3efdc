"""Jobs with faults drawn from seeds: their promises hold at every event, and their bits are those of the naive loop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .seeds import run_seed

ROOT = Path(__file__).parents[2]


def simulate(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)  # half a minute on two cores that do nothing else
def test_a_thousand_seeds():
    done = simulate("0", "1000")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", ["4", "1637"], ids=["faults of processes", "whose disk fails at a new file"])
def test_a_seed_repeats_its_trace_to_the_byte(seed):
    one, other = (simulate(seed, PYTHONHASHSEED=number).stdout for number in "12")
    assert one == other
    assert len(one.splitlines()) > 100


def test_a_problem_is_one_line_that_repeats_it(monkeypatch):
    monkeypatch.setattr("tests.simulation.seeds.BOUND", 10)
    run = run_seed(3)
    assert str(run).startswith("python -m tests.simulation 3    # Endless: no end after")
    assert run.trace[-1].endswith(run.problem)
