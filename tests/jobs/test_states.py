import itertools

import pytest

from raydient.server.errors import NotAllowed
from raydient.server.jobs.states import MOVES, IllegalTransition, State, check_move


def test_every_state_is_in_the_table():
    assert set(MOVES) == set(State)


def test_every_state_is_reached_from_queued():
    reached, edge = set(), {State.QUEUED}
    while edge:
        reached |= edge
        edge = {to for state in edge for to in MOVES[state]} - reached
    assert reached == set(State)


def test_terminal_states_are_final():
    ended = {state for state in State if state.terminal}
    assert ended == {State.SUCCEEDED, State.FAILED, State.CANCELLED}
    assert MOVES[State.FAILED] == {State.QUEUED}, "its user may resume it"
    for state, wanted in itertools.product(ended - {State.FAILED}, State):
        with pytest.raises(IllegalTransition):
            check_move("a", state, wanted)


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING])
def test_a_paused_run_goes_back_to_the_queue(state):
    check_move("a", state, State.QUEUED)


def test_an_illegal_move_names_both_states():
    with pytest.raises(NotAllowed, match=r"jobs/a is QUEUED and cannot become SUCCEEDED") as caught:
        check_move("a", State.QUEUED, State.SUCCEEDED)
    assert caught.value.metadata == {"state": "QUEUED", "wanted": "SUCCEEDED"}
