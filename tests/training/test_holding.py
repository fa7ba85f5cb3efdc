"""A job's folder is held by the coordinator that was started last."""

import json
import os
import subprocess
import sys

import pytest

from raydient.server.training.holding import (
    LOCK_FILE,
    SupersededError,
    end,
    end_holder,
    holding,
    identity,
    next_generation,
    read_holder,
)

HOLD = """
import sys, threading
from pathlib import Path
from raydient.server.training.holding import holding
with holding(Path(sys.argv[1]), int(sys.argv[2])):
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def holder(tmp_path):
    """Return a function that starts a process holding the folder under a generation; it is killed at the end."""
    started = []

    def start(generation):
        command = [sys.executable, "-c", HOLD, str(tmp_path), str(generation)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_free_folder_is_held_and_names_its_holder(tmp_path):
    with holding(tmp_path / "job", 5) as held:
        held.check()
        holder = read_holder(tmp_path / "job")
        assert (holder.generation, holder.pid) == (5, os.getpid())
        assert holder.identity == identity(os.getpid()) != ""
    with holding(tmp_path / "job", 6) as held:
        held.check()


def test_a_later_generation_ends_a_holder_that_is_stopped(tmp_path, holder):
    process = holder(5)
    process.send_signal(19)  # SIGSTOP
    with holding(tmp_path, 6) as held:
        held.check()
        assert process.wait(10) == -9


def test_an_earlier_generation_ends_nothing_and_holds_nothing(tmp_path, holder):
    process = holder(5)
    with pytest.raises(SupersededError, match=f"process {process.pid}"), holding(tmp_path, 4):
        pass
    assert process.poll() is None
    process.kill()
    process.wait()
    with pytest.raises(SupersededError), holding(tmp_path, 4):
        pass


def test_a_superseded_holder_may_not_write(tmp_path):
    with holding(tmp_path, 5) as old:
        old.check()
        write(tmp_path, 6, os.getpid(), "elsewhere")
        with pytest.raises(SupersededError):
            old.check()


def test_a_holder_on_another_machine_is_superseded(tmp_path, holder):
    process = holder(5)
    write(tmp_path, 5, process.pid, "another boot")
    with holding(tmp_path, 6, wait_seconds=0.1) as held:
        held.check()
        assert read_holder(tmp_path).generation == 6
    assert process.poll() is None


def test_a_process_id_that_was_used_again_is_left_alone(tmp_path, holder):
    process = holder(5)
    began = identity(process.pid)
    assert not end(process.pid, began + "1")
    assert not end(process.pid, "")
    assert process.poll() is None
    assert end(process.pid, began)
    process.wait()
    assert not end(process.pid, began)
    assert not end_holder(tmp_path)


def test_generations_grow(tmp_path):
    first = next_generation(tmp_path)
    assert next_generation(tmp_path) > first
    write(tmp_path, 2**80, 1, "")
    assert next_generation(tmp_path) == 2**80 + 1


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"{}", b'{"generation": 1}', b"\xff"])
def test_a_damaged_record_names_no_holder(tmp_path, record):
    (tmp_path / LOCK_FILE).write_bytes(record)
    assert read_holder(tmp_path) is None
    assert not end_holder(tmp_path)
    with holding(tmp_path, 1):
        assert read_holder(tmp_path).generation == 1


def write(directory, generation, pid, known):
    record = json.dumps({"generation": generation, "pid": pid, "identity": known})
    (directory / LOCK_FILE).write_text(record.ljust(512))
