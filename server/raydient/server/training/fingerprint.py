"""The numerics fingerprint: what beside the job itself decides the bits of its weights."""

import platform
from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_info

REDUCTION_VERSION = "2"
"""Changes whenever the order of any sum of ours changes."""


def fingerprint() -> dict[str, str]:
    """NumPy's version, BLAS build and core type, threads per worker, CPU features that NumPy uses, our reduction."""
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    features: Mapping[str, bool] = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    return {
        "numpy": np.__version__,
        "blas": "; ".join(f"{b['internal_api']} {b['version']} {b.get('architecture', '')}".strip() for b in blas),
        "blas_threads": "1",
        "machine": platform.machine(),
        "cpu_features": " ".join(sorted(name for name, present in features.items() if present)),
        "reduction": REDUCTION_VERSION,
    }


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What changed between two fingerprints, a line each."""
    return [
        f"{key}: {then.get(key)!r}, now {now.get(key)!r}"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    ]
