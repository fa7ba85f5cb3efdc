"""Scores of rows, which precede their push: of the right node, as many as it has rows."""

import numpy as np
import pytest

from raydient.steps.scores import SCORE
from raydient.wire.frames import Header, Kind, ProtocolError

from .conftest import GENERATION, SECONDS


def scores_of(rows):
    """Return two columns of scores."""
    scores = np.zeros((rows, 2), SCORE)
    scores["score"], scores["positive"] = np.arange(2 * rows).reshape(-1, 2) / 8, [False, True]
    return scores


def test_scores_come_before_their_push(make_both):
    both = make_both(scores=2, rows=7)
    for node, rows in (((0, 2), 7), ((2, 3), 1)):
        both.channel.score(7, node, scores_of(rows))
        both.channel.push(7, node, 0, np.zeros(2), SECONDS)
        both.link.keep_scores(both.received())
        push = both.received().header

        received = both.link.scores(push, rows)

        assert received.tolist() == scores_of(rows).tolist()
        with pytest.raises(ProtocolError, match="without its scores"):
            both.link.scores(push, rows)


def test_scores_of_another_node_or_of_too_few_rows_break_the_protocol(make_both):
    both = make_both(scores=2, rows=7)
    for node, rows, problem in (((1, 2), 3, "without its scores"), ((0, 1), 2, "20 bytes of scores for 3 rows")):
        both.channel.score(7, node, scores_of(rows))
        both.link.keep_scores(both.received())
        with pytest.raises(ProtocolError, match=problem):
            both.link.scores(Header(Kind.PUSH, GENERATION, 7, 0, 1), 3)


def test_more_scores_than_a_round_has_rows_are_not_received(make_both):
    both = make_both(scores=2, rows=3)
    both.channel.score(0, (0, 1), scores_of(4))
    with pytest.raises(ProtocolError, match="at most 30 are allowed"):
        both.received()


def test_where_no_metric_ranks_rows_there_are_no_scores(both):
    assert both.link.scores(Header(Kind.PUSH, GENERATION, 7, 0, 1), 3) is None
