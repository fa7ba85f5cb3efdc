"""Checks at submission run in processes of their own: bounded, remembered, and ended with the call."""

import os
import signal
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from raydient.server.calls import Call
from raydient.server.errors import Abandoned, Exhausted, Late
from raydient.server.training.checking import Checker, Limits
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec

NEVER = threading.Event()
HERE = "tests.end_to_end.test_checks"


def spec(**training):
    network = {"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"}
    return JobSpec.model_validate({"dataset": {"uri": "a.csv"}, "network": network, "training": training})


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "1.5,0\n2.5,1\n" * 50)
    return path


# What processes do instead of checking; each says in a file beside the data that it began.


def begin(dataset):
    with dataset.with_suffix(".begun").open("a") as file:
        file.write(f"{os.getpid()}\n")


def hang(spec, dataset, jobs, memory_bytes):
    begin(dataset)
    NEVER.wait()


def devour(spec, dataset, jobs, memory_bytes):
    begin(dataset)
    np.ones(1 << 27)


def abort(spec, dataset, jobs, memory_bytes):
    os.abort()


def stumble(spec, dataset, jobs, memory_bytes):
    raise ZeroDivisionError


def refuse(spec, dataset, jobs, memory_bytes):
    begin(dataset)
    raise InvalidSpec([FieldError("dataset.label", "not there"), FieldError("", "wrong")])


@pytest.fixture
def checker(tmp_path):
    """Makes checkers, which are closed after the test."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(closing(Checker(tmp_path, *arguments, **options)))


def pids(data):
    return [int(line) for line in data.with_suffix(".begun").read_text().split()]


def test_a_job_that_fits_its_data_passes(data, checker):
    checker()(spec(), data, Call())


def test_broken_rules_come_as_from_the_check_itself(data, checker):
    with pytest.raises(InvalidSpec, match="there is no such file"):
        checker()(spec(), data.with_name("b.csv"), Call())
    with pytest.raises(InvalidSpec) as refused:
        checker(find_problems=f"{HERE}:refuse")(spec(), data, Call())
    assert refused.value.errors == (FieldError("dataset.label", "not there"), FieldError("", "wrong"))


def test_the_same_content_is_read_once_for_the_same_question(data, checker):
    check = checker(find_problems=f"{HERE}:refuse")

    def checked(**training):
        with pytest.raises(InvalidSpec):
            check(spec(**training), data, Call())
        return len(pids(data))

    assert checked() == 1
    assert checked(epochs=7, optimizer={"sgd": {"learning_rate": 0.5}}) == 1
    assert checked(seed=2) == 2
    assert checked(batch_size=8) == 3
    assert checked(optimizer="adam") == 4
    data.write_text(data.read_text() + "1.0,1\n")
    assert checked() == 5
    assert checked(initial_weights="jobs/one") == checked(initial_weights="jobs/one") - 1


def test_a_check_that_takes_too_long_is_ended(data, checker):
    with pytest.raises(Late, match=r"took more than 0\.5 seconds") as late:
        checker(Limits(seconds=0.5), find_problems=f"{HERE}:hang")(spec(), data, Call())
    assert late.value.reason == "CHECK_TOO_SLOW"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids(data))


@pytest.mark.parametrize("find_problems", [f"{HERE}:devour", f"{HERE}:abort"])
def test_a_check_that_needs_too_much_memory_is_told_so(data, checker, find_problems):
    check = checker(Limits(memory_share=0.5), lambda: 1 << 28, find_problems)
    with pytest.raises(Exhausted, match=r"more memory than a check may use here, 128\.0 MiB: name fewer") as exhausted:
        check(spec(), data, Call())
    assert exhausted.value.reason == "CHECK_OUT_OF_MEMORY"


def test_a_fault_of_ours_is_no_lack_of_memory(data, checker):
    with pytest.raises(RuntimeError, match="its traceback is in the log"):
        checker(find_problems=f"{HERE}:stumble")(spec(), data, Call())


def test_a_process_that_was_killed_while_it_waited_for_a_check_is_replaced(data, checker):
    check = checker()
    check(spec(seed=1), data, Call())
    for thread in Path("/proc/self/task").iterdir():
        for child in (thread / "children").read_text().split():
            if b"check_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
                os.waitid(os.P_PID, int(child), os.WEXITED | os.WNOWAIT)
    check(spec(seed=2), data, Call())


def test_a_check_ends_with_its_call(data, checker):
    call, ended, check = Call(), [], checker(find_problems=f"{HERE}:hang")

    def wait():
        with pytest.raises(Abandoned):
            check(spec(), data, call)
        ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    while not data.with_suffix(".begun").exists():
        thread.join(0.01)
    call.abandon()
    thread.join()
    assert ended == [True]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids(data))
    with pytest.raises(Abandoned):
        check(spec(), data, call)
