"""The public names of the data room, and the modules that it must not import."""

import subprocess
import sys

from raydient.workers import data


def test_public_names():
    assert sorted(data.__all__) == [
        "Augmenter",
        "Budget",
        "Dataset",
        "EpochOrder",
        "FORMATS",
        "FileSource",
        "Format",
        "InvalidData",
        "MemorySource",
        "PARTS",
        "PartName",
        "PreparedSets",
        "Profile",
        "SUFFIXES",
        "Samples",
        "Schema",
        "Source",
        "array_mend",
        "check_indices",
        "check_labels",
        "check_weights",
        "epoch_order",
        "find_format",
        "find_suffix",
        "load",
        "look",
    ]
    assert all(hasattr(data, name) for name in data.__all__)


def test_a_worker_that_needs_the_order_only_does_not_load_arrow():
    foreign = ("pyarrow", "ray", "grpc", "google.protobuf", "prometheus_client", "raydient.server", "raydient.v1")
    code = f"import raydient.workers.data, sys; sys.exit(', '.join(m for m in {foreign} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
