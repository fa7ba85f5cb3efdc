"""Squared norms of a gradient as they are defined: piece by piece, a table row by row, in float64 where needed."""

from itertools import pairwise

import numpy as np

from raydient.steps import ranges
from raydient.steps.layout import Learned


def squares(layout, gradient):
    """Return the squared norm of the gradient by each parameter of a layout; 0 for what is not learned."""
    return [
        float(np.sum(_pieces(layout, p, gradient))) if isinstance(p.kind, Learned) else 0.0 for p in layout.parameters
    ]


def _pieces(layout, parameter, gradient):
    bounds = [b for b in ranges.pieces(layout) if parameter.offset < b < parameter.stop]
    parts = [gradient[a:b] for a, b in pairwise([parameter.offset, *bounds, parameter.stop])]
    return [_by_rows(part.reshape(-1, parameter.shape[1])) if parameter.sparse else _square(part) for part in parts]


def _by_rows(rows):
    total = 0.0
    for row in rows.astype(np.float64):
        total += float(np.dot(row, row))
    return total


def _square(part):
    with np.errstate(all="ignore"):
        square = float(np.dot(part, part))
    exact = part.astype(np.float64)
    return square if 1e-24 < square < np.inf else float(np.dot(exact, exact))
