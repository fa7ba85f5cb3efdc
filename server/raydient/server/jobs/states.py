"""The states of a job and the moves between them."""

from enum import StrEnum

from raydient.server.errors import NotAllowed


class State(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """True if the job has ended and holds no slots. Only a user's command moves a FAILED job from here."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)

    @property
    def running(self) -> bool:
        """True if a coordinator may be running."""
        return self in (State.STARTING, State.RUNNING, State.CANCELLING)


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.STARTING, State.CANCELLED}),
    # back to QUEUED: the run was paused or its coordinator lost; the next one goes on from the last checkpoint
    State.STARTING: frozenset({State.RUNNING, State.QUEUED, State.CANCELLING, State.FAILED}),
    State.RUNNING: frozenset({State.PAUSED, State.QUEUED, State.CANCELLING, State.SUCCEEDED, State.FAILED}),
    State.PAUSED: frozenset({State.QUEUED, State.CANCELLED}),
    # a job may end by itself before the request to cancel reaches it
    State.CANCELLING: frozenset({State.CANCELLED, State.SUCCEEDED, State.FAILED}),
    State.SUCCEEDED: frozenset(),
    # resumed by its user, if the failure has a reason outside the job
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset(),
}


class IllegalTransition(NotAllowed):
    """A move that is not in the table."""

    reason = "ILLEGAL_TRANSITION"

    def __init__(self, job: str, current: State, wanted: State) -> None:
        super().__init__(
            f"jobs/{job} is {current.name} and cannot become {wanted.name}",
            metadata={"state": current.name, "wanted": wanted.name},
        )
        self.current = current
        self.wanted = wanted


def check_move(job: str, current: State, wanted: State) -> None:
    """Raise IllegalTransition unless the table has this move."""
    if wanted not in MOVES[current]:
        raise IllegalTransition(job, current, wanted)
