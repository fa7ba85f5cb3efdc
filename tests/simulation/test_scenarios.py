"""Scripted cases: each file of scenarios/ is a run in which a fault meets the job at a chosen place."""

import pytest

from .scenario import SCENARIOS, run_scenario


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario(path):
    run_scenario(path.read_text())


def test_a_wait_that_does_not_come_true_fails():
    with pytest.raises(AssertionError, match="the job ends before 'wait worker 7"):
        run_scenario("# A worker that is not there\njob workers=1\nwait worker 7: gets PUSH\n")


def test_a_line_that_must_not_come_fails():
    with pytest.raises(AssertionError, match="never worker 0: gets WEIGHTS 3"):
        run_scenario("# Weights\njob workers=1\nnever worker 0: gets WEIGHTS 3\n")
