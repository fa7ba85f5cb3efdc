"""The registry of data formats."""

from pathlib import PurePath

import pytest

from raydient.v1.dataset_service_pb2 import DatasetFormat
from raydient.workers.data import FORMATS, find_format


def test_every_format_has_its_value_in_the_api():
    names = [f"DATASET_FORMAT_{format_.name}" for format_ in FORMATS if format_.is_stored]
    assert ["DATASET_FORMAT_UNSPECIFIED", *names, "DATASET_FORMAT_SAFETENSORS"] == DatasetFormat.keys()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "CSV"),
        (PurePath("/x.y/A.NPZ"), "NPZ"),
        ("a.CSV.gz", "CSV"),
        ("train-images-idx3-ubyte", "IDX"),
        ("t10k-images.idx3-ubyte.gz", "IDX"),
        ("a.gz", None),
        (".csv.gz", None),
        ("csv", None),
    ],
)
def test_the_suffix_selects_the_format(name, expected):
    format_ = find_format(name)
    assert (format_ and format_.name) == expected


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_every_format_has_a_reader(format_):
    assert callable(format_.read)
