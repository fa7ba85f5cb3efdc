"""The parameter servers of a job: their number, and the range of weights that each one holds."""

from collections.abc import Sequence

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.phrases import counted
from raydient.steps.layout import Layout
from raydient.steps.ranges import PIECE, Range, pieces, ranges

BYTES_EACH = 1 << 30
"""Weights and optimizer state that one parameter server holds unless the job sets the number of servers."""
MOST_BY_SIZE = 8
"""Largest number of servers that a job gets because of its size alone."""


def shard_ranges(layout: Layout, values: int, wanted: int | None) -> Sequence[Range]:
    """Return the range of each parameter server.

    Args:
        layout: the weights.
        values: number of float32 values that the servers hold: the weights and the optimizer's state.
        wanted: number of servers; None: one for each BYTES_EACH, at most MOST_BY_SIZE.

    Raises:
        InvalidSpec: there are more servers than pieces of the weights.
    """
    most = len(pieces(layout)) - 1
    if wanted is None:
        wanted = min(MOST_BY_SIZE, most, -(-4 * values // BYTES_EACH))
    if wanted > most:
        text = f"{wanted} is more than the {counted(most, 'piece')} of the network's {layout.size} weights"
        rule = f"a server holds whole pieces of {PIECE} weights, or of whole rows of a table: at most {most}"
        raise InvalidSpec([FieldError("resources.parameter_servers", f"{text}; {rule}")])
    return ranges(layout, max(1, wanted))
