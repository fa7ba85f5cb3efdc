"""The reasons of failures that lie in the job itself. Imports no NumPy, which `raydient train` loads later."""

OWN_FAULTS = frozenset({"NON_FINITE", "INVALID_SPEC"})
"""A job that failed for one of them would fail again. All other reasons lie outside of the job."""
