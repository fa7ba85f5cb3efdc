"""A member whose process or connection has ended counts as lost after a while, with times from the test."""

import pytest

from raydient.server.training.departures import PARTING_SECONDS, Departures


@pytest.fixture
def departures(clock):
    return Departures(clock)


def test_a_member_that_runs_is_not_lost(departures, clock):
    assert departures.look(1, None, quiet=True) is None
    clock.now += 3600
    assert departures.look(1, None, quiet=True) is None


def test_an_end_is_a_loss_after_a_look_without_messages(departures):
    assert departures.look(1, "killed by SIGKILL", quiet=True) is None, "its last messages may be on their way"
    assert departures.pending
    assert departures.look(1, "killed by SIGKILL", quiet=False) is None
    assert departures.look(1, "killed by SIGKILL", quiet=True) == "killed by SIGKILL"


def test_messages_of_other_members_do_not_hide_an_end_for_ever(departures, clock):
    assert departures.look(1, "killed by SIGKILL", quiet=False) is None
    clock.now += PARTING_SECONDS
    assert departures.look(1, "killed by SIGKILL", quiet=False) is None
    clock.now += 0.01
    assert departures.look(1, "killed by SIGKILL", quiet=False) == "killed by SIGKILL"


def test_a_process_that_outlives_its_connection_is_lost(departures, clock):
    departures.disconnected(1)
    clock.now += PARTING_SECONDS
    assert departures.look(1, None, quiet=True) is departures.look(2, None, quiet=True) is None
    clock.now += 0.01
    assert departures.look(1, None, quiet=True) == "its connection ended, it did not"


def test_a_member_that_was_killed_is_forgotten(departures):
    departures.disconnected(1)
    departures.look(1, "killed by SIGKILL", quiet=True)
    departures.forget(1)
    departures.forget(1)
    assert not departures.pending
