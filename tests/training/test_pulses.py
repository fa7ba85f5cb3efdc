"""Members that have stopped answering are detected, with times from the test."""

import pytest

from raydient.server.training.pulses import ALL_SILENT_SECONDS, PING_SECONDS, SILENT_SECONDS, Pulses
from raydient.server.training.roster import Roster
from raydient.wire.control import Role


class Members:
    """Three members with lifelines, pinged as often as in use."""

    def __init__(self):
        self.now = 1000.0
        self.roster = Roster(2, 1)
        self.numbers = [self.roster.add(role, self.now) for role in (Role.PARAMETER_SERVER, Role.WORKER, Role.WORKER)]
        self.pulses = Pulses(self.roster, lambda: self.now)
        for member in self.numbers:
            self.pulses.answered(member)

    def pass_time(self, seconds, answering):
        """Let these members answer each ping; return the members that count as stopped in the end."""
        for _ in range(int(seconds / PING_SECONDS)):
            self.now += PING_SECONDS
            for member in self.pulses.beat():
                if member in answering:
                    self.pulses.answered(member)
        return self.pulses.stopped(pausing=False)


@pytest.fixture
def members():
    return Members()


def test_members_are_pinged_once_a_second(members):
    assert members.pulses.beat() == []
    members.now += PING_SECONDS
    assert members.pulses.beat() == [0, 1, 2]
    assert members.pulses.beat() == []


def test_a_member_that_was_never_heard_of_is_not_pinged_and_never_silent(members):
    late = members.roster.add(Role.WORKER, members.now)
    assert members.pass_time(60.0, {0, 1, 2}) == {}
    members.now += PING_SECONDS
    assert late not in members.pulses.beat()


def test_a_member_that_does_not_answer_is_stopped(members):
    assert members.pass_time(SILENT_SECONDS, {0, 2}) == {}
    assert members.pass_time(PING_SECONDS, {0, 2}) == {1: "no answer for 6 seconds"}


def test_an_answer_begins_the_time_anew(members):
    members.pass_time(SILENT_SECONDS, {0, 2})
    members.pulses.answered(1)
    assert members.pass_time(SILENT_SECONDS, {0, 2}) == {}


def test_a_machine_on_which_no_member_answers_has_more_time(members):
    assert members.pass_time(ALL_SILENT_SECONDS, set()) == {}
    assert members.pass_time(PING_SECONDS, set()).keys() == {0, 1, 2}


def test_a_run_that_pauses_gives_its_parameter_server_no_more_time(members):
    members.pass_time(SILENT_SECONDS, set())
    assert members.pulses.stopped(pausing=True) == {}
    members.pass_time(PING_SECONDS, set())
    assert members.pulses.stopped(pausing=True) == {0: "no answer, and a checkpoint is needed from it"}


def test_time_without_pings_counts_for_no_member(members):
    for _ in range(2):
        members.now += 3600.0
        assert members.pulses.beat() == [0, 1, 2]
        assert members.pulses.stopped(pausing=True) == {}


def test_a_member_that_is_gone_is_forgotten(members):
    members.pass_time(SILENT_SECONDS + PING_SECONDS, {0, 2})
    members.roster.remove(1)
    members.pulses.answered(1)
    assert members.pulses.stopped(pausing=True) == {}
