"""The level of this machine's processor, which `training.numerics: portable` requires."""

from collections.abc import Mapping

import numpy as np

from raydient.spec.errors import FieldError
from raydient.spec.job import JobSpec

PORTABLE_FEATURES = ("AVX2", "FMA3")
"""The features of x86-64-v3 whose code NumPy and OpenBLAS use for portable jobs."""


def machine_problems(spec: JobSpec, features: Mapping[str, bool] | None = None) -> list[FieldError]:
    """Return an error if the job is portable and a machine lacks a feature that this needs.

    `features` are those of its processor by NumPy's names; those of this machine if None.
    """
    if not spec.training.numerics.is_portable:
        return []
    if features is None:
        features = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    lacking = [name for name in PORTABLE_FEATURES if not features.get(name)]
    if not lacking:
        return []
    text = f"portable needs an x86-64 processor with {' and '.join(PORTABLE_FEATURES)}"
    return [FieldError("training.numerics", f"{text}; this machine lacks {' and '.join(lacking)}")]
