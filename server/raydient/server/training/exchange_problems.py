"""Compares the codec of a job's gradients with the parameters of its network and with its training."""

from collections.abc import Iterator

from raydient.spec.errors import FieldError
from raydient.spec.exchange import Exchange
from raydient.spec.training import Training
from raydient.steps.encoded import NONE
from raydient.steps.layout import Layout


def exchange_problems(exchange: Exchange, training: Training, layout: Layout) -> Iterator[FieldError]:
    """Yield an error for each rule that the codec of a job breaks."""
    codec, tables = exchange.codec.kind, [p.name for p in layout.parameters if p.sparse]
    if codec != NONE and tables:
        rows = f"{', '.join(tables)}, whose gradient travels by the rows in use"
        yield FieldError("exchange.codec", f"{codec} cannot be combined with {rows}: use {NONE}")
    if not exchange.codec.feeds_back:
        return
    if training.consistency.kind != "synchronous":
        reason = f"{training.consistency.kind}: what a microbatch has not sent belongs to its next step"
        yield FieldError("exchange.codec", f"{codec} cannot be combined with {reason}; use synchronous, or int8")
    if training.rollback is not None:
        reason = "on_non_finite: rollback: what microbatches have not sent does not go back"
        yield FieldError("exchange.codec", f"{codec} cannot be combined with {reason}; use fail or skip_step, or int8")
