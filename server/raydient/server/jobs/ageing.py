"""What a job keeps of its past: bounds on events and curves, for jobs of a million epochs.

Events: the newest EVENTS_KEPT, and every change of state. Numbers are never given out again.

Curves: every epoch up to CURVE_EPOCHS epochs; beyond, every second, fourth, ... so that there are at most that many,
evenly spaced, and always the first and the newest. Whether an epoch is kept depends on its number and on that of the
newest epoch alone.
"""

import sqlalchemy as sa

from .payloads import kind_of
from .records import StateChanged
from .schema import events as _events
from .schema import metrics as _metrics

EVENTS_KEPT = 10_000
CURVE_EPOCHS = 10_000


def oldest_event(newest: int) -> int:
    """The number from which on a job keeps every event; `newest` is that of its newest one."""
    return max(1, newest - EVENTS_KEPT + 1)


def drop_events(connection: sa.Connection, job: str, newest: int) -> None:
    """Drop the events of a job that have aged out."""
    oldest = oldest_event(newest)
    if oldest > 1:
        old = (_events.c.job == job, _events.c.sequence < oldest, _events.c.kind != kind_of(StateChanged))
        connection.execute(sa.delete(_events).where(*old))


def curve_stride(newest: int) -> int:
    """Each how many epochs one is kept of a job whose newest epoch has this number: a power of two."""
    stride = 1
    while newest > CURVE_EPOCHS * stride:
        stride *= 2
    return stride


def thin_curve(connection: sa.Connection, job: str, newest: int, before: int) -> None:
    """Drop the points that a job no longer keeps, now that epochs after `before` and up to `newest` were added."""
    stride = curve_stride(newest)
    if stride == 1:
        return
    since = before if stride == curve_stride(before) else 1
    epoch = _metrics.c.epoch
    dropped = (_metrics.c.job == job, epoch > 1, epoch >= since, epoch < newest, epoch % stride != 0)
    connection.execute(sa.delete(_metrics).where(*dropped))
