"""Compares the optimizer with the tables of the network."""

from raydient.server.parameters.optimizers import RowwiseOptimizer
from raydient.server.parameters.rule import build_optimizer
from raydient.spec.errors import FieldError
from raydient.spec.training import Training
from raydient.steps.layout import Layout


def table_problems(training: Training, layout: Layout) -> list[FieldError]:
    """Return an error if the optimizer has a rule for tables and the network has none."""
    if any(parameter.sparse for parameter in layout.parameters):
        return []
    if not isinstance(build_optimizer(training), RowwiseOptimizer):
        return []
    kind = training.optimizer.kind
    text = f"{kind} keeps one value for each row of a table, and the network has no table"
    rule = "a table is an embedding of 65,536 values or more. adagrad does the same on this network"
    return [FieldError("training.optimizer", f"{text}: {rule}")]
