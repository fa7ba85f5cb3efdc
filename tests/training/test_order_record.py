"""The record of the order of arrival in a job's folder."""

import pytest

from raydient.files import LocalDisk
from raydient.server.training.order_record import FOLDER, OrderRecord, read_order
from raydient.steps.order import Arrival, pack

FIRST, SECOND, THIRD = Arrival(0, 0, 4, 0), Arrival(1, 0, 2, 0), Arrival(1, 2, 4, 1)


class Failing(LocalDisk):
    """A disk on which the names of a folder cannot be made durable, `failures` times."""

    failures = 1

    def sync_folder(self, folder):
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is gone")
        super().sync_folder(folder)


def test_the_record_has_a_part_for_each_checkpoint(tmp_path):
    order = OrderRecord(tmp_path)
    order.go_on_from(0)
    order.add(1, pack([FIRST]))
    order.sync(1)
    order.add(2, pack([SECOND, THIRD]))
    order.sync(2)
    assert read_order(tmp_path) == [(0, 1, [FIRST]), (1, 2, [SECOND, THIRD])]


def test_pushes_of_a_snapshot_that_was_not_written_come_with_the_next_one(tmp_path):
    order = OrderRecord(tmp_path)
    order.go_on_from(0)
    order.add(1, pack([FIRST]))
    order.add(2, pack([SECOND, THIRD]))
    order.sync(2)
    assert read_order(tmp_path) == [(0, 2, [FIRST, SECOND, THIRD])]


def test_synchronous_steps_between_two_parts_are_in_no_file(tmp_path):
    order = OrderRecord(tmp_path)
    order.go_on_from(0)
    order.add(1, pack([FIRST]))
    order.add(5, b"")
    order.add(6, pack([FIRST._replace(round=5, version=5)]))
    order.sync(6)
    assert [(begin, end) for begin, end, _ in read_order(tmp_path)] == [(0, 1), (5, 6)]


def test_a_later_snapshot_is_not_written_with_an_earlier_one(tmp_path):
    order = OrderRecord(tmp_path)
    order.go_on_from(0)
    order.add(1, pack([FIRST]))
    order.add(2, pack([SECOND, THIRD]))
    order.sync(1)
    assert read_order(tmp_path) == [(0, 1, [FIRST])]


def test_an_attempt_that_failed_leaves_nothing_beside_the_next_one(tmp_path):
    order = OrderRecord(tmp_path, Failing())
    order.go_on_from(0)
    order.add(1, pack([FIRST]))
    with pytest.raises(OSError, match="the disk is gone"):
        order.sync(1)
    order.add(2, pack([SECOND, THIRD]))
    order.sync(2)
    assert read_order(tmp_path) == [(0, 2, [FIRST, SECOND, THIRD])]


def test_a_run_that_goes_on_from_a_checkpoint_drops_what_came_after(tmp_path):
    order = OrderRecord(tmp_path)
    order.go_on_from(0)
    order.add(1, pack([FIRST]))
    order.sync(1)
    order.add(2, pack([SECOND, THIRD]))
    order.sync(2)
    again = OrderRecord(tmp_path)
    again.go_on_from(1)
    assert read_order(tmp_path) == [(0, 1, [FIRST])]
    again.add(2, pack([SECOND._replace(version=1), THIRD]))
    again.sync(2)
    assert read_order(tmp_path)[1] == (1, 2, [SECOND._replace(version=1), THIRD])


def test_a_synchronous_job_has_no_record(tmp_path):
    order = OrderRecord(tmp_path)
    order.go_on_from(0)
    order.sync(7)
    assert read_order(tmp_path) == []
    assert not (tmp_path / FOLDER).exists()


def test_a_push_takes_16_bytes():
    assert len(pack([FIRST, SECOND, THIRD])) == 3 * 16
