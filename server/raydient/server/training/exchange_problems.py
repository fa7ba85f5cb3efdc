"""Compares the codec of a job's gradients with the parameters of its network."""

from raydient.spec.errors import FieldError
from raydient.spec.exchange import Exchange
from raydient.steps.encoded import NONE
from raydient.steps.layout import Layout


def exchange_problems(exchange: Exchange, layout: Layout) -> list[FieldError]:
    """Return an error if a codec meets a gradient that travels by rows, for which there is none."""
    codec, tables = exchange.codec.kind, [p.name for p in layout.parameters if p.sparse]
    if codec == NONE or not tables:
        return []
    text = f"{codec} cannot be combined with {', '.join(tables)}, whose gradient travels by the rows in use: use {NONE}"
    return [FieldError("exchange.codec", text)]
