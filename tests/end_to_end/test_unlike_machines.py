"""A worker whose machine computes other bits gets no work, or the job reports that its bits are mixed."""

import json
import os
import platform
import subprocess
import sys
from unittest.mock import patch

import pytest

from raydient.server.embedded import train
from raydient.server.training import numerics
from raydient.server.training.fingerprint import fingerprint
from raydient.server.training.reports import Notice, Outcome
from raydient.spec.errors import InvalidSpec
from raydient.wire.control import Role
from raydient.workers.network import load_model

from .conftest import execute
from .test_processor_levels import LEVELS

OTHER = {"OPENBLAS_CORETYPE": "ARMV8" if platform.machine() == "aarch64" else "Nehalem"}
"""The code of OpenBLAS for a machine that is older than any that runs these tests."""


class Unlike:
    """A cluster whose second worker runs as on another machine."""

    def __init__(self, cluster):
        self._cluster, self._workers = cluster, 0

    def __getattr__(self, name):
        return getattr(self._cluster, name)

    def start(self, role, launch, log, **options):
        self._workers += role is Role.WORKER
        with patch.dict("os.environ", OTHER if (role, self._workers) == (Role.WORKER, 2) else {}):
            return self._cluster.start(role, launch, log, **options)


@pytest.fixture
def run(local, tmp_path):
    """Returns a function that runs a job on unlike machines: its last report, and the notices with a reason."""

    def run(prepared):
        reports = []
        finished = execute(prepared, Unlike(local), tmp_path, reports.append)
        return finished, [r for r in reports if isinstance(r, Notice) and r.reason.startswith("NUMERICS")]

    return run


def numerics_of(directory):
    """Return the record of arithmetic in the manifest of the newest checkpoint."""
    newest = max((directory / "checkpoints").glob("*/manifest.json"))
    return json.loads(newest.read_text())["numerics"]


def test_it_gets_no_work_and_the_job_reports_its_machine(job, undisturbed, run, tmp_path):
    finished, [notice] = run(job({"min": 1, "max": 2}))
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, undisturbed(job(2)))
    assert notice.reason == "NUMERICS_REFUSED"
    assert notice.message.startswith("worker 2 at 127.0.0.1 computes other bits: probe ")
    assert "mixed" not in numerics_of(tmp_path)


def test_by_any_it_takes_part_and_bits_are_mixed(job, run, tmp_path):
    finished, [notice] = run(job(2, numerics="any"))
    assert (finished.outcome, finished.reason) == (Outcome.SUCCEEDED, "NUMERICS_MIXED")
    assert notice.reason == "NUMERICS_MIXED"
    assert notice.message.startswith("bits are mixed: worker 2 at 127.0.0.1 computes other bits: probe ")
    other = numerics_of(tmp_path)["mixed"]
    assert other[:12] in finished.message
    assert load_model(tmp_path / "model.safetensors").mixed_bits


def test_a_job_does_not_go_on_from_other_bits(job, local, tmp_path, run):
    """The coordinator finds a checkpoint of another machine, and ends before it starts a process."""
    finished = execute(job(1, epochs=1), local, tmp_path)
    assert finished.outcome is Outcome.SUCCEEDED
    with patch.object(numerics, "fingerprint", lambda: {**fingerprint(), "probe": "0" * 64}):
        count = len(local.processes)
        refused = execute(job(1, epochs=1), local, tmp_path)
    assert (refused.outcome, refused.reason, refused.step) == (Outcome.FAILED, "OTHER_NUMERICS", finished.step)
    assert len(local.processes) == count


def test_a_portable_job_has_the_same_bits_on_every_level(spec, tmp_path):
    """The whole job: the process of `raydient train` or `sweep`, which is the coordinator, and its members."""
    (tmp_path / "job.yaml").write_text(json.dumps(spec(1, epochs=2, numerics="portable")))
    search = {"training.numerics": {"choice": ["portable"]}}
    (tmp_path / "sweep.yaml").write_text(json.dumps({"job": "job.yaml", "sampler": "grid", "search": search}))

    def start(*arguments, **variables):
        return subprocess.Popen(
            [sys.executable, "-m", "raydient.client.cli", *arguments, "--json"],
            cwd=tmp_path,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), **variables},
            text=True,
            stdout=subprocess.PIPE,
        )

    running = [start("train", "job.yaml", "-o", f"{n}.npz", **level) for n, level in enumerate(LEVELS.values())]
    sweep = start("sweep", "sweep.yaml", "--local")
    receipts = [json.loads(process.communicate(timeout=100)[0]) for process in running]
    best = json.loads(sweep.communicate(timeout=100)[0])["model"]
    assert len({load_model(tmp_path / best).digest, *(receipt["digest"] for receipt in receipts)}) == 1


def test_a_process_that_has_loaded_numpy_does_not_begin_a_portable_job(job, data, tmp_path):
    with pytest.raises(InvalidSpec, match=r"training\.numerics"):
        train(job(1, numerics="portable").spec, data, directory=tmp_path, report=lambda report: None)
