"""Prometheus' own programs."""

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def find_program():
    """The path of a program that comes with Prometheus."""

    def find(name):
        found = shutil.which(name)
        if found is None:
            pytest.fail(f"{name} is missing: apt-get install prometheus", pytrace=False)
        return found

    return find


@pytest.fixture(scope="session")
def promtool(find_program):
    """Runs promtool, with `text` to read from; what it prints."""
    program = find_program("promtool")

    def run(*arguments, text=""):
        command = [program, *map(str, arguments)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
