"""Small networks on one machine that offers its libraries the instructions of several processors.

NumPy, OpenBLAS and the C library each choose their code by the processor, and each can be made to choose as on a
processor without some of its instructions. A portable process gets the variables of a portable job besides.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raydient.server.clusters.member import environment

ABOVE_AVX2 = "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"
LEVELS = {
    "as it is": {},
    "AVX2": {
        "NPY_DISABLE_CPU_FEATURES": ABOVE_AVX2,
        "OPENBLAS_CORETYPE": "Zen",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ",
    },
    "SSE4": {
        "NPY_DISABLE_CPU_FEATURES": f"{ABOVE_AVX2} X86_V3 AVX2 FMA3 F16C AVX",
        "OPENBLAS_CORETYPE": "Nehalem",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-FMA,-FMA4,-AVX",
    },
}


@pytest.fixture(scope="module")
def digests():
    """Digests of the small jobs by level and by whether their process is portable."""
    running = {
        (level, portable): subprocess.Popen(
            [sys.executable, "-m", "tests.end_to_end.small_jobs"],
            env={**os.environ, **variables, **environment(portable=portable)},
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        for level, variables in LEVELS.items()
        for portable in (False, True)
    }
    return {key: json.loads(process.communicate()[0]) for key, process in running.items()}


def test_portable_jobs_have_the_same_bits_on_every_level(digests):
    first, *others = [digests[level, True] for level in LEVELS]
    assert others == [first] * len(others)


def test_without_portable_the_levels_have_other_bits(digests):
    """Otherwise the test before would show nothing."""
    for job, digest in digests["AVX2", False].items():
        assert digests["SSE4", False][job] != digest
        assert digests["SSE4", True][job] != digests["SSE4", False][job]
