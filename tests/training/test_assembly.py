"""Parts of a snapshot: put together by range, refused if they are not those of their sender."""

from dataclasses import replace

import numpy as np
import pytest

from raydient.server.training.assembly import Assembly
from raydient.steps.scores import EPOCH_SCORES
from raydient.wire.control import Residuals, Snapshot, SnapshotPart
from raydient.wire.frames import ProtocolError, UnexpectedPeerError

RANGES = [(0, 3), (3, 5), (5, 9)]
VECTORS = {"weights": np.arange(9, dtype=np.float32), "accumulator": np.arange(7, dtype=np.float32) * 2}
DIVISION = [
    {"weights": where, "accumulator": by_rows} for where, by_rows in zip(RANGES, [(0, 1), (1, 3), (3, 7)], strict=True)
]
"""The first three weights are a row of a table, which has one accumulator."""


def part_of(shard, names=tuple(VECTORS)):
    return {name: VECTORS[name][slice(*DIVISION[shard][name])] for name in names}


def snapshot(round_, *, final=False):
    return Snapshot(round_, round_, [1.0], final)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_snapshot_is_complete_with_all_its_parts_in_any_order(order):
    assembly, results = Assembly(DIVISION), []
    for shard in order:
        message = SnapshotPart(shard, 4, 4) if shard else snapshot(4)
        scores = {} if shard else {EPOCH_SCORES: np.array([7], np.uint8)}
        results.append(assembly.add(shard, message, {**part_of(shard), **scores}))
    assert results[:2] == [None, None]
    message, arrays = results[2]
    assert message == snapshot(4)
    assert set(arrays) == {"weights", "accumulator", EPOCH_SCORES}
    for name, vector in VECTORS.items():
        assert arrays[name].tobytes() == vector.tobytes()


def test_one_shard_needs_no_copy():
    arrays = {"weights": np.zeros(9, np.float32)}
    message, whole = Assembly([{"weights": (0, 9)}]).add(0, snapshot(4), arrays)
    assert message == snapshot(4)
    assert whole is arrays


def test_parts_of_unlike_rounds_are_no_snapshot():
    assembly = Assembly(DIVISION[:2])
    assert assembly.add(0, snapshot(4), part_of(0)) is None
    assert assembly.add(0, snapshot(6, final=True), part_of(0)) is None
    assert assembly.add(1, SnapshotPart(1, 4, 4), part_of(1)) is None
    message, _ = assembly.add(1, SnapshotPart(1, 6, 6), part_of(1))
    assert message == snapshot(6, final=True)


def test_two_snapshots_of_one_round_have_a_part_of_each_shard_each():
    assembly = Assembly(DIVISION)
    assert assembly.add(1, SnapshotPart(1, 4, 4), part_of(1)) is None
    assert assembly.add(0, snapshot(4), part_of(0)) is None
    assert assembly.add(1, SnapshotPart(1, 4, 4), part_of(1)) is None
    message, _ = assembly.add(2, SnapshotPart(2, 4, 4), part_of(2))
    assert message == snapshot(4)
    assert assembly.add(0, snapshot(4, final=True), part_of(0)) is None
    message, arrays = assembly.add(2, SnapshotPart(2, 4, 4), part_of(2))
    assert message == snapshot(4, final=True)
    assert arrays["weights"].tobytes() == VECTORS["weights"].tobytes()


@pytest.mark.parametrize(
    ("shard", "message", "arrays"),
    [
        (1, SnapshotPart(2, 4, 4), part_of(1)),  # claims the range of another
        (1, snapshot(4), part_of(1)),
        (0, SnapshotPart(0, 4, 4), part_of(0)),
        (None, SnapshotPart(1, 4, 4), part_of(1)),  # a worker
        (1, SnapshotPart(1, 4, 4), part_of(0)),  # values of another range
        (1, SnapshotPart(1, 4, 4), part_of(1) | {"weights": np.zeros((2, 1), np.float32)}),
        (1, SnapshotPart(1, 4, 4), part_of(1) | {"weights": np.zeros(2)}),
        (0, snapshot(4), part_of(0) | {"accumulator": np.zeros(3, np.float32)}),  # one for each weight
        (0, snapshot(4), part_of(0, ("accumulator",))),
        (1, SnapshotPart(1, 4, 4), part_of(1, ("weights",))),
        (1, SnapshotPart(1, 4, 4), part_of(1) | {"velocity": np.zeros(2, np.float32)}),
    ],
)
def test_a_part_that_is_not_that_of_its_sender_is_refused(shard, message, arrays):
    with pytest.raises(ProtocolError):
        Assembly(DIVISION).add(shard, message, arrays)


def residuals(*leaves, size=9, value=1.0):
    return {f"residual_{leaf}": np.full(size, value, np.float32) for leaf in leaves}


def holding(round_, holders):
    return replace(snapshot(round_), holders=holders)


def test_residuals_come_from_the_workers_that_hold_them_and_else_from_the_beginning():
    assembly = Assembly(DIVISION[:2], residuals(0, 1, 2, size=5, value=7.0))
    assert assembly.add_residuals(6, Residuals(4), residuals(1, size=5)) is None
    assert assembly.add(0, holding(4, [6, 8]), part_of(0)) is None
    assert assembly.add(1, SnapshotPart(1, 4, 4), part_of(1)) is None
    message, arrays = assembly.add_residuals(8, Residuals(4), residuals(2, size=5, value=2.0))
    assert message.round == 4
    assert {name: values[0] for name, values in arrays.items() if name.startswith("residual")} == {
        "residual_0": 7,
        "residual_1": 1,
        "residual_2": 2,
    }


def test_residuals_of_another_round_complete_no_snapshot():
    assembly = Assembly([{"weights": (0, 9)}], residuals(0))
    assert assembly.add_residuals(6, Residuals(3), residuals(0, value=5.0)) is None
    assert assembly.add(0, holding(4, [6]), {"weights": VECTORS["weights"]}) is None
    _, arrays = assembly.add_residuals(6, Residuals(4), residuals(0))
    assert arrays["residual_0"][0] == 1


def test_residuals_that_another_worker_has_sent_are_refused():
    assembly = Assembly([{"weights": (0, 9)}], residuals(0, 1))
    assembly.add_residuals(6, Residuals(4), residuals(0))
    assembly.add_residuals(6, Residuals(4), residuals(0))  # two snapshots may be of one round
    assembly.add_residuals(8, Residuals(5), residuals(0))
    with pytest.raises(UnexpectedPeerError, match="worker 8 that worker 6 has"):
        assembly.add_residuals(8, Residuals(4), residuals(0, 1))


@pytest.mark.parametrize("arrays", [residuals(3), residuals(0, size=8), {"weights": np.zeros(9, np.float32)}], ids=str)
def test_residuals_that_are_none_of_the_job_are_refused(arrays):
    with pytest.raises(ProtocolError, match="no residual of the job"):
        Assembly([{"weights": (0, 9)}], residuals(0)).add_residuals(6, Residuals(4), arrays)
