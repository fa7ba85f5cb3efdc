"""The manifest of a prepared data set: parts that fit each other, and ranges that cover the file once."""

from dataclasses import replace

import pytest

from raydient.steps.manifest import Manifest
from raydient.steps.places import Place

MANIFEST = Manifest("0a" * 32, 25, {"train/y/out": Place("<f4", (4,), 0)}, 10, ["ff" * 32] * 3, {})


def test_data_shards_cover_the_file_once():
    covered = [byte for shard in range(3) for byte in range(25)[MANIFEST.bytes_of(shard)]]
    assert covered == list(range(25))


@pytest.mark.parametrize("shard", [-1, 3])
def test_a_data_shard_that_there_is_not(shard):
    with pytest.raises(IndexError, match=f"data shard {shard} of 3"):
        MANIFEST.bytes_of(shard)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"key": "../../elsewhere"}, "is no SHA-256"),
        ({"key": "0a" * 32 + "\n"}, "is no SHA-256"),
        ({"size": 31}, "do not cover 31 bytes"),
        ({"size": 20}, "do not cover 20 bytes"),
        ({"size": 0, "checksums": []}, "do not cover 0 bytes"),
        ({"shard_bytes": 0}, "do not cover"),
        ({"places": {"x": Place("<f4", (4,), 10)}}, "array x does not lie inside its file"),
        ({"places": {"x": Place("|O", (1,), 0)}}, "array x does not lie inside its file"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        replace(MANIFEST, **change)
