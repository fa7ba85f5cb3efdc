"""The changes of a job as functions from a record to the changed record and its events. No I/O, no clock.

Each function returns an `Update`, or None if it changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from raydient.server.errors import Conflict, Exhausted, NotAllowed
from raydient.server.training.failures import reason_of
from raydient.server.training.own_faults import OWN_FAULTS
from raydient.server.training.reports import (
    Amended,
    CheckpointTaken,
    EpochEnded,
    Finished,
    Notice,
    NumberedReport,
    Outcome,
    Progress,
    Report,
    Started,
    Waiting,
    WentBack,
)
from raydient.spec.amending import value_at
from raydient.spec.phrases import counted
from raydient.steps.amendments import Amendment
from raydient.wire.control import Role

from .records import FieldChange, Job, MetricPoint, Payload, SpecUpdate, StateChanged
from .states import State, check_move

UPDATES_ALLOWED = 1000
"""Number of updates of a job's specification."""
LOSSES_ALLOWED = 3
"""Number of coordinators that may be lost in a row without a new step or checkpoint; the next loss fails the job."""

ENDS = {
    Outcome.SUCCEEDED: State.SUCCEEDED,
    Outcome.FAILED: State.FAILED,
    Outcome.CANCELLED: State.CANCELLED,
    Outcome.PAUSED: State.QUEUED,
}


@dataclass(frozen=True, slots=True)
class Update:
    """The changed job, the events of the change, and evaluation results to store.

    Attributes:
        counts: number of the newest epoch whose stored results still count; None: all do.
    """

    job: Job
    events: tuple[Payload, ...] = ()
    points: tuple[MetricPoint, ...] = ()
    counts: int | None = None


def move(job: Job, state: State, now: datetime, reason: str = "", message: str = "", *, digest: str = "") -> Update:
    """Move a job to another state. Raises IllegalTransition."""
    check_move(job.id, job.state, state)
    changed = replace(
        job,
        state=state,
        reason=reason,
        message=message,
        ended=now if state.terminal else None,
        attachment=job.attachment if state.running else "",
        digest=digest,
        pausing=job.pausing and state.running,
    )
    return Update(changed, (StateChanged(state, reason, message, digest),))


def start(job: Job, now: datetime) -> Update:
    """Record that a coordinator is about to be started."""
    update = move(job, State.STARTING, now)
    return replace(update, job=replace(update.job, run=job.run + 1, report=0))


def attach(job: Job, run: int, attachment: str) -> Update | None:
    """Record the attachment of the run's coordinator, which has started."""
    if job.run != run or not job.state.running:
        return None
    return Update(replace(job, attachment=attachment))


def cancel(job: Job, now: datetime) -> Update | None:
    """Cancel a job for its user. Harmless when repeated; raises NotAllowed if the job has succeeded or failed."""
    if job.state in (State.CANCELLING, State.CANCELLED):
        return None
    if job.state.terminal:
        raise _ended(job)
    waiting = job.state in (State.QUEUED, State.PAUSED)
    return move(job, State.CANCELLED if waiting else State.CANCELLING, now, "CANCELLED_BY_USER")


def scale(job: Job, workers: int) -> Update | None:
    """Change the number of workers for the job's user. Raises NotAllowed if the job has ended."""
    if job.state.terminal or job.state is State.CANCELLING:
        raise _ended(job)
    if workers == job.workers.max and job.scaled:
        return None
    return Update(replace(job, scaled=workers), (Notice("SCALED", f"{counted(workers, 'worker')} requested"),))


def amend(job: Job, changes: Sequence[FieldChange], known: int, now: datetime) -> Update:
    """Update the specification of a job for its user, after `known` updates.

    Raises NotAllowed if the job has ended, Conflict if it has had another number of updates, Exhausted.
    """
    check_not_ended(job)
    if len(job.updates) != known:
        raise Conflict(f"jobs/{job.id} was updated by another call")
    if len(job.updates) >= UPDATES_ALLOWED:
        raise Exhausted(f"jobs/{job.id} has had {UPDATES_ALLOWED} updates, the most it may", reason="TOO_MANY_UPDATES")
    update = SpecUpdate(len(job.updates) + 1, now, tuple(changes), step=job.reported_step)
    notice = Notice("UPDATE_ACCEPTED", f"{update}; it takes effect before the next step")
    return Update(replace(job, updates=(*job.updates, update)), (notice,))


def check_not_ended(job: Job) -> None:
    """Raise NotAllowed if a job has ended, or ends."""
    if job.state.terminal or job.state is State.CANCELLING:
        raise _ended(job)


def pause(job: Job) -> Update | None:
    """Pause a job, with a checkpoint, for its user. Harmless when repeated; raises NotAllowed unless it is RUNNING."""
    if job.state is State.PAUSED or job.pausing:
        return None
    if job.state.terminal:
        raise _ended(job)
    if job.state is not State.RUNNING:
        message = f"jobs/{job.id} is {job.state.name}: only a RUNNING job can be paused"
        raise NotAllowed(message, reason="JOB_NOT_RUNNING", metadata={"state": job.state.name})
    message = "it takes a checkpoint and leaves the cluster"
    return Update(replace(job, pausing=True, reason="PAUSING", message=message), (Notice("PAUSING", message),))


def resume(job: Job, now: datetime) -> Update:
    """Queue a job that is paused, or that failed for a reason outside itself, for its user. Raises NotAllowed."""
    if job.state is State.FAILED and job.reason in OWN_FAULTS:
        message = f"jobs/{job.id} FAILED by its own fault and would fail again: {job.reason}: {job.message}"
        metadata = {"state": job.state.name, "state_reason": job.reason}
        raise NotAllowed(message, reason="JOB_AT_FAULT", metadata=metadata)
    if job.state not in (State.PAUSED, State.FAILED):
        what = "still pausing" if job.pausing else job.state.name
        message = f"jobs/{job.id} is {what}: only a PAUSED or FAILED job can be resumed"
        raise NotAllowed(message, reason="JOB_NOT_PAUSED", metadata={"state": job.state.name})
    job = replace(job, losses=0, advanced=False)
    return move(job, State.QUEUED, now, "RESUMED_BY_USER", "goes on from its last checkpoint")


def _ended(job: Job) -> NotAllowed:
    verb = "is ending" if job.state is State.CANCELLING else "has already ended"
    message = f"jobs/{job.id} {verb}: it is {job.state.name}"
    return NotAllowed(message, reason="JOB_ENDED", metadata={"state": job.state.name})


def lose(job: Job, run: int, why: str, now: datetime) -> Update | None:
    """Handle the loss of the run's coordinator without a last report."""
    if job.run != run or not job.state.running:
        return None
    if job.state is State.CANCELLING:
        return move(job, State.CANCELLED, now, job.reason)
    losses = 1 if job.advanced else job.losses + 1
    job = replace(job, losses=losses, advanced=False)
    if losses > LOSSES_ALLOWED:
        message = f"the coordinator was lost {losses} times in a row without a new step or checkpoint; last: {why}"
        return move(job, State.FAILED, now, reason_of(Role.COORDINATOR, why), message)
    if job.pausing:
        return move(job, State.PAUSED, now, "PAUSED_BY_USER", f"the coordinator was lost meanwhile: {why}")
    return move(job, State.QUEUED, now, "COORDINATOR_LOST", f"the coordinator was lost: {why}")


def abandon(job: Job, run: int, now: datetime) -> Update | None:
    """Handle the end of the run's coordinator together with its server; it does not count as a loss."""
    if job.run != run or not job.state.running:
        return None
    if job.state is State.CANCELLING:
        return move(job, State.CANCELLED, now, job.reason)
    if job.pausing:
        return move(job, State.PAUSED, now, "PAUSED_BY_USER")
    return move(job, State.QUEUED, now, "SERVER_RESTARTED", "goes on from its last checkpoint")


def take(job: Job, run: int, reports: Iterable[NumberedReport], now: datetime) -> Update | None:
    """Apply reports of a run in order; see `report`. Returns None if they change nothing."""
    events: list[Payload] = []
    points: list[MetricPoint] = []
    changed, counts = False, None
    for number, news in reports:
        update = report(job, run, number, news, now)
        if update is not None:
            job, changed = update.job, True
            events += update.events
            if update.counts is not None:
                points = [point for point in points if point.epoch <= update.counts]
                counts = update.counts if counts is None else min(counts, update.counts)
            points += update.points
    return Update(job, tuple(events), tuple(points), counts) if changed else None


def report(job: Job, run: int, number: int, news: Report, now: datetime) -> Update | None:
    """Apply a report. A repeated report, one of an earlier run, and one after the end change nothing."""
    if isinstance(news, EpochEnded):
        return _epoch(job, news)
    if job.run != run or number <= job.report or not job.state.running:
        return None
    job = replace(job, report=number)
    match news:
        case Started():
            return _started(job, news, now)
        case Progress():
            return Update(_advance(replace(job, progress=news), step=news.step), (news,))
        case CheckpointTaken():
            return Update(_advance(replace(job, checkpoint_problem=""), checkpoint=news.step), (news,))
        case Notice():
            return Update(_note_problem(job, news), (news,))
        case Amended(amendment):
            return _amended(job, amendment, now)
        case Waiting():
            return _waiting(job, news)
        case WentBack(last=last):
            return Update(replace(job, last_epoch=last), counts=news.epoch) if news.epoch < job.epochs else Update(job)
        case Finished():
            return _finished(job, news, now)


def _epoch(job: Job, news: EpochEnded) -> Update | None:
    """Add an epoch of any run. One that is computed again has the same results, except after `WentBack`.

    The epoch may come after the run's end, which overtook it. It then becomes no event, because the change to a final
    state is the job's last event; only its results are stored.
    """
    if news.epoch <= job.epochs:
        return None
    events = () if job.state.terminal else (news,)
    return Update(replace(job, last_epoch=news), events, tuple(points(news)))


def _started(job: Job, news: Started, now: datetime) -> Update:
    job = replace(job, started=job.started or now)
    notices: tuple[Payload, ...] = ()
    if news.step < job.checkpoint_step:
        job, notices = _fallen_back(job, news.step)
    if job.state is not State.STARTING:  # cancelled meanwhile, or the members were attached once more
        return Update(job, notices)
    update = move(job, State.RUNNING, now, message=f"{counted(news.workers, 'worker')}, from step {news.step}")
    return replace(update, events=(*notices, *update.events))


def _fallen_back(job: Job, step: int) -> tuple[Job, tuple[Payload, ...]]:
    """Record that training goes on from a step before the newest checkpoint, which is damaged or missing."""
    message = f"training goes on from step {step}: the checkpoint of step {job.checkpoint_step} cannot be used"
    job = replace(job, checkpoint_step=step, checkpoint_problem=job.checkpoint_problem or message)
    return job, (Notice("FALLEN_BACK", message),)


def _note_problem(job: Job, news: Notice) -> Job:
    """Count checkpoints that could not be written or are damaged."""
    match news.reason:
        case "CHECKPOINT_FAILED":
            return replace(job, failed_checkpoints=job.failed_checkpoints + 1, checkpoint_problem=news.message)
        case "CHECKPOINT_DAMAGED":
            return replace(job, damaged_checkpoints=job.damaged_checkpoints + 1, checkpoint_problem=news.message)
    return job


def _amended(job: Job, amendment: Amendment, now: datetime) -> Update | None:
    """Record the step from which an update is in force, and the values in it, an end that had passed moved there."""
    place, known = amendment.number - 1, len(job.updates)
    if place > known or (place < known and job.updates[place].round is not None):
        return Update(job)
    accepted = job.updates[place] if place < known else None  # None: the database was lost, a checkpoint has it
    spec = job.current_spec if accepted is None else None
    before = {c.path: c.before for c in accepted.changes} if accepted else {}
    changes = tuple(
        FieldChange(path, before.get(path) if spec is None else value_at(spec, path), after)
        for path, after in amendment.settings.items()
    )
    created = accepted.created if accepted else now
    update = SpecUpdate(amendment.number, created, changes, amendment.round, amendment.step)
    notice = Notice("UPDATED", f"{update} from step {amendment.step} on")
    return Update(replace(job, updates=(*job.updates[:place], update, *job.updates[place + 1 :])), (notice,))


def _waiting(job: Job, news: Waiting) -> Update:
    reason, message = ("WAITING_FOR_WORKERS", news.message) if news.message else ("", "")
    shown = job if job.state is State.CANCELLING or job.pausing else replace(job, reason=reason, message=message)
    notice = Notice(reason or "WORKERS_ARE_BACK", message or "there are enough workers again")
    return Update(shown, (notice,))


def _finished(job: Job, news: Finished, now: datetime) -> Update:
    state = ENDS[news.outcome]
    reason, message = news.reason, news.message
    if job.state is State.CANCELLING and state in (State.QUEUED, State.CANCELLED):
        state, reason = State.CANCELLED, job.reason
    elif state is State.QUEUED and job.pausing:
        state, reason = State.PAUSED, "PAUSED_BY_USER"
        message = "; ".join(filter(None, (f"it goes on from step {news.step} when it is resumed", news.message)))
    elif state is State.QUEUED:
        reason = reason or "INTERRUPTED"
    passed: tuple[Payload, ...] = ()
    between = _BETWEEN.get((job.state, state))
    if between is not None:
        update = move(job, between, now)
        job, passed = update.job, update.events
    update = move(job, state, now, reason, message, digest=news.digest)
    return replace(update, events=passed + update.events)


# intermediate state of an end that the transition table does not allow directly
_BETWEEN = {
    (State.STARTING, State.SUCCEEDED): State.RUNNING,
    (State.STARTING, State.CANCELLED): State.CANCELLING,
    (State.RUNNING, State.CANCELLED): State.CANCELLING,
}


def _advance(job: Job, step: int = 0, checkpoint: int = 0) -> Job:
    return replace(
        job,
        advanced=job.advanced or step > job.top_step or checkpoint > job.checkpoint_step,
        top_step=max(job.top_step, step),
        checkpoint_step=max(job.checkpoint_step, checkpoint),
    )


def points(news: EpochEnded) -> list[MetricPoint]:
    """The results of an epoch as points of curves."""
    return [
        MetricPoint(news.epoch, split, name, news.step, value)
        for split, values in news.metrics.items()
        for name, value in values.items()
    ]
