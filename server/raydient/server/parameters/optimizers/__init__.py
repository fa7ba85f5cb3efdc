"""Rules that turn a gradient into an update: the published rule and nothing else.

Each works on any contiguous part of the flat vector, in place, element by element, so neither the number of shards nor
the size of a block changes a bit. `weights`, `gradient` and the arrays of `state` are float32 of one shape and do not
overlap; `scratch` is two more such arrays; the gradient is left as it was. A `RowwiseOptimizer` updates tables row by
row, of which every part has whole ones.
"""

from .adam import Adam
from .choice import fastest
from .descent import Momentum, Sgd
from .optimizer import LayerwiseOptimizer, Optimizer, RowwiseOptimizer, Vectors
from .table import OPTIMIZERS

__all__ = [
    "OPTIMIZERS",
    "Adam",
    "LayerwiseOptimizer",
    "Momentum",
    "Optimizer",
    "RowwiseOptimizer",
    "Sgd",
    "Vectors",
    "fastest",
]
