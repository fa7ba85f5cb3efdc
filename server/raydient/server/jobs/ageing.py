"""Bounds on the stored events and curves of a job, for jobs of a million epochs.

Events: the newest EVENTS_KEPT and every change of state are kept. Numbers are never reused.

Curves: up to CURVE_EPOCHS epochs every epoch is kept, beyond that every second, fourth and so on, so that at most
CURVE_EPOCHS evenly spaced epochs are kept, always with the first and the newest. Only its own number and that of the
newest epoch decide whether an epoch is kept.
"""

import sqlalchemy as sa

from .records import StateChanged
from .rows import kind_of
from .schema import events as _events
from .schema import metrics as _metrics

EVENTS_KEPT = 10_000
CURVE_EPOCHS = 10_000


def oldest_event(newest: int) -> int:
    """Number from which a job keeps every event; `newest` is the number of its newest event."""
    return max(1, newest - EVENTS_KEPT + 1)


def drop_events(connection: sa.Connection, job: str, newest: int) -> None:
    """Drop the events of a job that have aged out."""
    oldest = oldest_event(newest)
    if oldest > 1:
        old = (_events.c.job == job, _events.c.sequence < oldest, _events.c.kind != kind_of(StateChanged))
        connection.execute(sa.delete(_events).where(*old))


def curve_stride(newest: int) -> int:
    """Distance between kept epochs of a job whose newest epoch has this number: a power of two."""
    stride = 1
    while newest > CURVE_EPOCHS * stride:
        stride *= 2
    return stride


def thin_curve(connection: sa.Connection, job: str, newest: int, before: int) -> None:
    """Delete the points that a job no longer keeps, after epochs `before` + 1 to `newest` were added."""
    stride = curve_stride(newest)
    if stride == 1:
        return
    since = before if stride == curve_stride(before) else 1
    epoch = _metrics.c.epoch
    dropped = (_metrics.c.job == job, epoch > 1, epoch >= since, epoch < newest, epoch % stride != 0)
    connection.execute(sa.delete(_metrics).where(*dropped))
