"""The division of the flat vector: fixed pieces, and the ranges of shards, which consist of whole pieces.

Sums of squares are taken by piece and added in the order of the pieces. The pieces depend on the layout alone, so the
number of shards changes no bit of such a sum.
"""

from bisect import bisect_left
from collections.abc import Iterator

from .gradient import Table, between
from .layout import Layout

PIECE = 1 << 13
"""Values per piece; in float64 they fit into the cache. The last piece before a table may have fewer."""

Range = tuple[int, int]
"""Half-open range of values of the flat vector."""


def pieces(layout: Layout) -> list[int]:
    """Return the bounds of the pieces in ascending order, from 0 to the size of the vector.

    Outside tables a piece ends at a multiple of PIECE. A piece of a table has as many whole rows as fit into PIECE, at
    least one.
    """
    tables = [Table(p.offset, *p.shape) for p in layout.parameters if p.sparse]
    bounds = {0, layout.size}
    for where in between(tables, 0, layout.size):
        bounds.update((where.start, *range(-(-where.start // PIECE) * PIECE, where.stop, PIECE)))
    for table in tables:
        bounds.update(range(table.offset, table.stop, max(1, PIECE // table.width) * table.width))
    return sorted(bounds)


def ranges(layout: Layout, count: int) -> list[Range]:
    """Divide the vector into `count` ranges of about equal size. ValueError if there are fewer pieces."""
    if count == 1:
        return [(0, layout.size)]
    return list(_ranges(pieces(layout), count))


def by_rows(layout: Layout, where: Range) -> Range:
    """Return the range of a vector laid out as `layout.by_rows()` that belongs to a range of whole rows of `layout`."""
    start, stop = (layout.within(0, end).by_rows().size for end in where)
    return start, stop


def _ranges(bounds: list[int], count: int) -> Iterator[Range]:
    if not 1 <= count < len(bounds):
        raise ValueError(f"{count} ranges of a vector of {len(bounds) - 1} pieces")
    first = 0
    for number in range(1, count + 1):
        nearest = bisect_left(bounds, bounds[-1] * number // count)
        last = min(max(nearest, first + 1), len(bounds) - 1 - (count - number))
        yield bounds[first], bounds[last]
        first = last
