"""Standard streams that cannot be written: a full disk, a closed pipe."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import IO

import pytest


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def print_version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run `raydient version --json` with this standard output. Returns its exit status and standard error."""
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)

    def print_to(output: IO[str] | int) -> tuple[int, str]:
        command = [sys.executable, "-m", "raydient.client.cli", "version", "--json"]
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stderr

    return print_to


def test_a_full_disk_behind_standard_output_is_reported_in_one_line(
    print_version: Callable[..., tuple[int, str]],
) -> None:
    with open("/dev/full", "w") as full:
        assert print_version(full) == (1, "[Errno 28] No space left on device\n")


def test_a_closed_pipe_prints_nothing(print_version: Callable[..., tuple[int, str]]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert print_version(writer) == (1, "")
    finally:
        os.close(writer)
