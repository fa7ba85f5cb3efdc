"""Sums of gradients that are zero but for some rows: only over the rows that anybody uses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from raydient.steps.arrays import Vector
from raydient.steps.sparse import Numbers, Table, blocks, union
from raydient.steps.tree import Node

from .sums import tree_sum


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a table that are in use in one step."""

    table: Table
    numbers: Numbers

    def sums(self, contributions: Mapping[Node, Vector], root: Node) -> Iterator[tuple[Numbers, Vector]]:
        """These rows' numbers and sums over `root`, in tree order, block by block."""
        views = {node: self.table.values(slot) for node, slot in contributions.items()}
        for numbers in blocks(self.numbers, self.table.width):
            # A contribution that does not use one of them has zeros there.
            yield numbers, tree_sum({node: view.take(numbers, axis=0) for node, view in views.items()}, root)


def few_rows(tables: Sequence[Table], contributions: Mapping[Node, Vector]) -> list[Rows]:
    """Of the tables of which few rows are in use in all of these slots together, those rows."""
    found = []
    for table in tables:
        gradients = [table.of(slot) for slot in contributions.values()]
        numbers = union([gradient.used for gradient in gradients])
        if gradients[0].are_few(numbers):
            found.append(Rows(table, numbers))
    return found
