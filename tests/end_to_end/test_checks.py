"""Checks at submission run in separate processes: they are bounded, remembered, and end with the call."""

import os
import signal
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from raydient.server.calls import Call
from raydient.server.errors import Abandoned, Exhausted, Late
from raydient.server.training import preparation
from raydient.server.training.checking import Checker, Limits
from raydient.server.training.profiles import profiles_file
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


# Replacements of the check; each records in a file beside the data that it began.


def begin(dataset):
    with dataset.with_suffix(".begun").open("a") as file:
        file.write(f"{os.getpid()}\n")


def hang(spec, dataset, **options):
    begin(dataset)
    NEVER.wait()


def devour(spec, dataset, **options):
    begin(dataset)
    np.ones(1 << 27)


def abort(spec, dataset, **options):
    os.abort()


def stumble(spec, dataset, **options):
    raise ZeroDivisionError


def refuse(spec, dataset, **options):
    begin(dataset)
    raise InvalidSpec([FieldError("dataset.label", "not there"), FieldError("", "wrong")])


def count_readings(spec, dataset, *, learn, **options):
    def learned(profile):
        begin(dataset)
        learn(profile)

    preparation.check(spec, dataset, learn=learned, **options)


@pytest.fixture
def checker(tmp_path, monkeypatch):
    """Return a function that makes checkers, which are closed after the test. Their processes find this file."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
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
    assert checked(schedule="cosine") == checked(schedule="cosine") == 6
    assert checked(schedule="cosine", epochs=7) == 7
    assert checked(initial_weights="jobs/one") == checked(initial_weights="jobs/one") - 1


@pytest.mark.parametrize("is_stored", [True, False])
def test_another_network_batch_or_loss_reads_no_data_again(data, checker, is_stored):
    check = checker(find_problems=f"{HERE}:count_readings", datasets=data.parent if is_stored else None)

    def readings(layers=({"dense": {"units": 2}},), loss="softmax_cross_entropy", **training):
        network = {"layers": layers, "loss": loss}
        check(JobSpec.model_validate({**spec(**training).canonical(), "network": network}), data, Call())
        return len(pids(data))

    assert readings() == 1
    assert readings(batch_size=8) == 1
    assert readings([{"dense": {"units": 9}}, {"dense": {"units": 3}}]) == 1
    assert readings(loss={"softmax_cross_entropy": {"class_weight": [1, 2], "label_smoothing": 0.1}}) == 1
    assert readings([{"dense": {"units": 1}}], "hinge") == 2, "labels are encoded in another way"
    assert readings([{"dense": {"units": 1}}], "binary_cross_entropy") == 2
    assert readings() == 2, "the facts of the first reading are still known"
    assert readings(seed=5) == 3, "another split"


def test_facts_beside_a_stored_dataset_outlive_the_service(data, checker):
    checker(datasets=data.parent)(spec(), data, Call())
    data.write_text("?" * data.stat().st_size)  # a stored dataset never changes: reading it again would show this
    again = checker(datasets=data.parent)
    again(spec(batch_size=8), data, Call())
    with pytest.raises(InvalidSpec, match="81 is more than the 80 rows"):
        again(spec(batch_size=81), data, Call())
    profiles_file(data).write_bytes(b"damaged")  # then the data are read
    with pytest.raises(InvalidSpec, match="the file has a header but no rows"):
        again(spec(batch_size=16), data, Call())


def test_an_invalid_network_does_not_make_the_data_be_read_again(data, checker):
    check = checker(find_problems=f"{HERE}:count_readings")
    wrong = spec().canonical()
    wrong["network"]["layers"] = [{"dense": {"units": 1}}]
    with pytest.raises(InvalidSpec, match="1 outputs, but the largest class in the data is 1: 2 are needed"):
        check(JobSpec.model_validate(wrong), data, Call())
    check(spec(), data, Call())
    assert len(pids(data)) == 1


def test_a_check_that_takes_too_long_is_ended(data, checker):
    with pytest.raises(Late, match=r"took more than 0\.5 seconds") as late:
        checker(Limits(seconds=0.5), find_problems=f"{HERE}:hang")(spec(), data, Call())
    assert late.value.reason == "CHECK_TOO_SLOW"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids(data))


@pytest.mark.parametrize("find_problems", [f"{HERE}:devour", f"{HERE}:abort"])
def test_a_check_that_needs_too_much_memory_is_refused(data, checker, find_problems):
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
    os.kill(check._spare.pid, signal.SIGKILL)
    check._spare.wait()
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
