"""Sums of row-sparse gradients: only over the rows that are in use in one of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from raydient.steps.arrays import Floats
from raydient.steps.gradient import Gradient, Table
from raydient.steps.sparse import Numbers, blocks, union
from raydient.steps.tree import Node

from .sums import tree_sum


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a table that are in use in one step."""

    table: Table
    numbers: Numbers

    def sums(self, contributions: Mapping[Node, Gradient], root: Node) -> Iterator[tuple[Numbers, Floats]]:
        """Yield these rows' numbers and sums over `root`, in tree order, block by block."""
        views = {node: gradient.tables[self.table.offset].values for node, gradient in contributions.items()}
        for numbers in blocks(self.numbers, self.table.width):
            # A contribution that does not use one of them has zeros there.
            yield numbers, tree_sum({node: view.take(numbers, axis=0) for node, view in views.items()}, root)


def few_rows(tables: Sequence[Table], contributions: Mapping[Node, Gradient]) -> list[Rows]:
    """Return the rows in use of each table of which few are in use in all contributions together."""
    few = []
    for table in tables:
        gradients = [gradient.tables[table.offset] for gradient in contributions.values()]
        numbers = union([gradient.used for gradient in gradients])
        if gradients[0].are_few(numbers):
            few.append(Rows(table, numbers))
    return few
