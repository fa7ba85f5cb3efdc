"""The programs of Prometheus."""

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def find_program():
    """Return a function that finds a program of the Prometheus package by its name."""

    def find(name):
        path = shutil.which(name)
        if path is None:
            pytest.fail(f"{name} is missing: apt-get install prometheus", pytrace=False)
        return path

    return find


@pytest.fixture(scope="session")
def promtool(find_program):
    """Return a function that runs promtool with `text` as its input and returns its output."""
    program = find_program("promtool")

    def run(*arguments, text=""):
        command = [program, *map(str, arguments)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
