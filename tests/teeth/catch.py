"""Runs one catcher in this tree, and prints the problem that it detects: `python -m tests.teeth.catch CATCHER`."""

import logging
import sys
from pathlib import Path

import pytest

from raydient.steps import tree
from tests.simulation.scenario import SCENARIOS, run_scenario
from tests.simulation.seeds import first_failure

NUMBER = 1000
"""Seeds that are run, as in `tests/simulation/test_seeds.py`."""


class Problem:
    """A plugin of pytest that keeps the first failure."""

    text = ""

    def pytest_runtest_logreport(self, report):
        if report.failed and not self.text:
            self.text = f"{report.nodeid}: {report.longrepr.reprcrash.message.splitlines()[0]}"

    def pytest_collectreport(self, report):
        if report.failed and not self.text:
            self.text = f"{report.nodeid}: {str(report.longrepr).splitlines()[-1]}"


def catch(catcher):
    """Return the first problem; empty if there is none."""
    kind, _, name = catcher.partition(" ")
    if kind == "seeds":
        run = first_failure(range(NUMBER))
        return f"seed {run.seed}: {run.problem}" if run else ""
    if kind == "scenario":
        (path,) = [path for path in SCENARIOS if path.stem == name]
        try:
            run_scenario(path.read_text())
        except Exception as error:
            return f"scenario {name}: {type(error).__name__}: {error}"
        return ""
    problem = Problem()
    pytest.main(["-q", "-x", "-p", "no:cacheprovider", catcher], plugins=[problem])
    return problem.text


def main():
    assert Path(tree.__file__).is_relative_to(Path.cwd()), "the modules of another tree are imported"
    logging.disable()
    problem = catch(" ".join(sys.argv[1:]))
    sys.stdout.write(f"\n{problem}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
