"""The probe is the same in each process of a machine, and another one where a kernel of a library is another one."""

import os
import platform
import subprocess
import sys

import pytest

from raydient.server.clusters.member import BLAS_ENVIRONMENT, environment
from raydient.workers.portable import PORTABLE
from raydient.workers.probe import probe

OLDER = ("ARMV8",) if platform.machine() == "aarch64" else ("Nehalem", "Haswell")
"""Types of processors whose code OpenBLAS has for any machine that runs these tests."""


def probed(**variables):
    """Return the probe of a new process with these environment variables."""
    line = "from raydient.workers.probe import probe; print(probe())"
    environment = {**os.environ, **BLAS_ENVIRONMENT, **variables}
    command = [sys.executable, "-c", line]
    return subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, check=True).stdout.strip()


@pytest.fixture(scope="module")
def own():
    return probed()


def test_it_is_the_same_in_another_process(own):
    assert probed() == own


def test_it_is_the_same_in_the_process_of_the_tests(own):
    assert probe() == own


def test_a_switch_in_the_environment_of_the_user_makes_no_job_portable(own):
    assert probed(**({PORTABLE: "1"} | environment(portable=False))) == own


def test_it_differs_with_code_for_other_processors(own):
    assert len({own, *(probed(OPENBLAS_CORETYPE=kind) for kind in OLDER)}) >= len(OLDER)


def test_it_differs_with_other_functions_of_numpy(own):
    names = " ".join(["X86_V3", "X86_V4", "AVX512_ICL", "AVX512_SPR", "AVX2", "FMA3", "AVX512F", "AVX512_SKX"])
    assert probed(NPY_DISABLE_CPU_FEATURES=names) != own


def test_portable_processes_have_one_probe(own):
    forced = [environment(portable=True), {"OPENBLAS_CORETYPE": "Nehalem"} | environment(portable=True)]
    one, other = (probed(**variables) for variables in forced)
    assert one == other != own
