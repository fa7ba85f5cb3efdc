"""Compares local steps with the rows and the network of a job."""

from collections.abc import Iterator

from raydient.spec.errors import FieldError
from raydient.spec.training import Training
from raydient.steps.layout import Layout, Learned


def local_problems(training: Training, layout: Layout, rows: int | None) -> Iterator[FieldError]:
    """Yield an error for each rule that the local steps of a job break.

    Args:
        training: from the job's specification.
        layout: the parameters of the network.
        rows: number of rows of the training part; None if that is not known.
    """
    if training.consistency.local is None:
        return
    steps, batch_size = training.consistency.local_steps, training.batch_size
    if rows and batch_size <= rows < steps * batch_size:
        message = f"{steps} batches of {batch_size} are more than the {rows} rows of the training part"
        yield FieldError("training.consistency.local.steps", f"{message}: at most {rows // batch_size}")
    for table in layout.parameters if steps > 1 else ():
        if table.sparse and isinstance(table.kind, Learned) and (table.kind.l1 or table.kind.l2):
            message = f"a learner has only the rows of {table.name} that it uses, and a regularizer changes every row"
            yield FieldError("training.consistency", f"{message}: leave the regularizer out, or use synchronous")
