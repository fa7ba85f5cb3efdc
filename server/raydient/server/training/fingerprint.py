"""The numerics fingerprint: everything besides the job itself that affects the bits of its weights."""

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from raydient.workers.probe import probe

REDUCTION_VERSION = "2"
"""Changes whenever the order of any sum of ours changes."""


@cache
def fingerprint() -> Mapping[str, str]:
    """Return versions of NumPy, BLAS, C library and reduction; BLAS threads, machine, CPU features in use, probe."""
    with threadpool_limits(1, "blas"):  # the coordinator of `raydient train` may have more
        measured = probe()
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    features: Mapping[str, bool] = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    return {
        "numpy": np.__version__,
        "blas": "; ".join(f"{b['internal_api']} {b['version']} {b.get('architecture', '')}".strip() for b in blas),
        "blas_threads": "1",
        "c_library": c_library(),
        "machine": platform.machine(),
        "cpu_features": " ".join(sorted(name for name, present in features.items() if present)),
        "reduction": REDUCTION_VERSION,
        "probe": measured,
    }


def c_library(loaders: Path = Path("/lib")) -> str:
    """Return name and version of the C library.

    NumPy calls its functions where it has no vector loop of its own, as for `expm1` and `log1p` in float32 on
    processors without AVX-512.

    musl has no call for its version. Its loader in `loaders` is the library itself, so its digest identifies it.
    """
    try:
        known = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):  # another library has no such name
        known = None
    if known:
        return known
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    for loader in sorted(loaders.glob("ld-musl-*.so.1")):
        return f"musl {hashlib.sha256(loader.read_bytes()).hexdigest()[:16]}"
    return " ".join(filter(None, platform.libc_ver())) or f"unknown, {platform.system()} {platform.release()}"


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the differences between two fingerprints, one text each.

    An entry that `then` lacks does not count: the version that made `then` did not record it.
    """
    return [f"{key}: {then[key]!r}, now {now.get(key)!r}" for key in sorted(then) if then[key] != now.get(key)]
