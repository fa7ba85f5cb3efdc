"""The switch of `training.numerics: portable`, which a process gets in its environment. Imports no NumPy."""

import os
from functools import cache

PORTABLE = "RAYDIENT_PORTABLE"
"""Environment variable that is `1` in the processes of a portable job."""


@cache
def portable() -> bool:
    """Return True if this process computes functions from basic operations, so that no library chooses their bits.

    The environment is read once, at the first call.
    """
    return os.environ.get(PORTABLE) == "1"
