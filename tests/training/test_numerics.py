"""Machines that compute other bits than the coordinator's get no work, or the job reports that its bits are mixed."""

import numpy as np
import pytest

from raydient.server.clusters.member import PORTABLE_ENVIRONMENT
from raydient.server.training.actions import Work
from raydient.server.training.machine import machine_problems
from raydient.server.training.numerics import Numerics
from raydient.server.training.reports import Notice, Waiting
from raydient.server.training.roster import SHORT_SECONDS
from raydient.spec.validation import validate_job

from . import coordinating

OWN = {"blas": "new", "probe": "a" * 64}
OTHER = "b" * 64
DIFFERENT = "probe bbbbbbbbbbbb, not aaaaaaaaaaaa"


def test_a_member_with_the_same_probe_gets_work():
    numerics = Numerics("strict", OWN)
    assert numerics.admit("worker 1", "a" * 64, "") == (True, [])
    assert numerics.record == OWN


@pytest.mark.parametrize("mode", ["strict", "portable"])
def test_a_member_with_another_probe_is_refused(mode):
    numerics = Numerics(mode, OWN)
    text = f"worker 1 at 10.0.0.7 computes other bits: {DIFFERENT}; it gets no work"
    assert numerics.admit("worker 1", OTHER, "10.0.0.7") == (False, [Notice("NUMERICS_REFUSED", text)])
    assert not numerics.mixed


def test_any_records_that_bits_are_mixed_and_reports_each_probe_once():
    numerics = Numerics("any", OWN)
    text = f"bits are mixed: worker 1 at 10.0.0.7 computes other bits: {DIFFERENT}"
    assert numerics.admit("worker 1", OTHER, "10.0.0.7") == (True, [Notice("NUMERICS_MIXED", text)])
    assert numerics.admit("worker 2", OTHER, "10.0.0.7") == (True, [])
    assert numerics.mixed
    assert numerics.record == OWN | {"mixed": OTHER}


@pytest.mark.parametrize("mode", ["strict", "portable"])
def test_training_does_not_go_on_from_other_bits(mode):
    refusal = Numerics(mode, OWN).refusal({"blas": "old", "probe": OTHER})
    assert DIFFERENT in refusal
    assert "blas: 'old', now 'new'" in refusal


def test_any_goes_on_from_other_bits_and_mixes_them():
    numerics = Numerics("any", OWN)
    assert numerics.refusal({"probe": OTHER}) == ""
    assert [n.reason for n in numerics.go_on_from({"probe": OTHER})] == ["NUMERICS_CHANGED", "NUMERICS_MIXED"]
    assert numerics.record == OWN | {"mixed": OTHER}


def test_bits_stay_mixed_after_a_checkpoint_that_was():
    numerics = Numerics("any", OWN)
    assert [n.reason for n in numerics.go_on_from(OWN | {"mixed": OTHER})] == ["NUMERICS_MIXED"]
    assert numerics.mixed


def test_a_checkpoint_without_a_probe_is_not_compared():
    numerics = Numerics("strict", OWN)
    assert numerics.refusal({"blas": "new"}) == ""
    assert numerics.go_on_from({"blas": "new"}) == []


def test_other_libraries_with_the_same_probe_are_a_notice():
    numerics, record = Numerics("strict", OWN), OWN | {"blas": "old"}
    assert numerics.refusal(record) == ""
    assert [n.reason for n in numerics.go_on_from(record)] == ["NUMERICS_CHANGED"]
    assert not numerics.mixed


def test_a_refused_worker_gets_no_work(coordinator):
    coordinator.begin()
    assert coordinator.hello(1, refused=True) == []
    actions = coordinator.hello(0) + coordinator.hello(2)
    assert [a.member for a in actions if isinstance(a, Work)] == [2]


def test_a_refused_worker_whose_process_ended_is_replaced_without_a_loss(coordinator):
    coordinator.begin()
    coordinator.hello(1, refused=True)
    assert coordinator.lost(1, "killed") == []
    assert [a.member for a in coordinating.starts(coordinator.tick())] == [3]


def test_training_waits_if_all_workers_are_refused(coordinator, clock):
    coordinator.begin()
    coordinator.hello(0)
    for worker in (1, 2):
        coordinator.hello(worker, refused=True)
    clock.now += SHORT_SECONDS + 1
    (waiting,) = coordinating.reports(coordinator.tick(), Waiting)
    assert "2 refused because their machines compute other bits" in waiting.message


@pytest.mark.parametrize(
    ("numerics", "features", "lacking"),
    [("strict", {}, []), ("portable", {"AVX2": True, "FMA3": True}, []), ("portable", {"AVX2": True}, ["FMA3"])],
)
def test_portable_needs_a_level(numerics, features, lacking):
    spec = validate_job(
        {
            "dataset": {"uri": "a.csv"},
            "network": {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"},
            "training": {"numerics": numerics},
        }
    )
    problems = machine_problems(spec, features)
    assert [p.path for p in problems] == ["training.numerics"] * len(lacking)
    assert all(f"lacks {name}" in str(problems[0]) for name in lacking)


def test_portable_disables_every_level_for_which_numpy_has_code_beyond_its_own():
    levels = {name for name in np._core._multiarray_umath.__cpu_dispatch__ if name.startswith(("X86_V", "AVX512"))}
    assert levels - {"X86_V3"} <= set(PORTABLE_ENVIRONMENT["NPY_DISABLE_CPU_FEATURES"].split())
