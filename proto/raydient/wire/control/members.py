"""Messages of the members of a run, parameter servers and workers, to its coordinator; `orders` has those to them.

The parameter server in place 0 has the conductor and the first shard, each other one a further shard. A message "from
the parameter server" that names no shard is one of the conductor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from raydient.steps.amendments import Amendment
from raydient.steps.ending import Ending
from raydient.steps.measurements import Measurements
from raydient.steps.schedule import RoundKind
from raydient.steps.watched import Watched
from raydient.wire.endpoint import Endpoint


class Role(StrEnum):
    """The role of a process of a job."""

    COORDINATOR = "coordinator"
    PARAMETER_SERVER = "parameter_server"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a member, and the first one after it has left its part in a generation.

    Attributes:
        member: number of the member, from `Launch`.
        process: its process id.
        data_plane: endpoint at which workers attach; None unless it is a parameter server.
        probe: digest of its machine's arithmetic, see `raydient.workers.probe`.
        host: address of its machine.
        left: number of the generation that it has left, from `Serve` or `Work`; None at first. The member holds nothing
            of that generation any more, and no earlier message of it concerns a later one.
    """

    role: Role
    member: int
    process: int
    data_plane: Endpoint | None = None
    probe: str = ""
    host: str = ""
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Alive:
    """First message on a lifeline, the second connection of member number `member`, on which it answers pings."""

    member: int


@dataclass(frozen=True, slots=True)
class Pong:
    """On a lifeline: answer to the `Ping` with the same number."""

    number: int


@dataclass(frozen=True, slots=True)
class Attached:
    """From the parameter server: a worker has joined the data plane."""

    worker: int


@dataclass(frozen=True, slots=True)
class Computed:
    """The work of a worker: leaves of whole steps that it has pushed, and the seconds that it computed them.

    Waiting and pushing are not counted, nor is a last step of an epoch that has fewer rows.
    """

    leaves: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """From the parameter server: position and measurements, sent a few times a second at most.

    Attributes:
        round: number of rounds completed.
        step: number of updates applied.
        computed: work of each attached worker since the parameter server began.
    """

    round: int
    step: int
    measurements: Measurements
    computed: Mapping[int, Computed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanInForce:
    """From the parameter server: no round of an earlier plan is open; workers outside the plan have no work left."""

    number: int


@dataclass(frozen=True, slots=True)
class EpochSums:
    """Sums over one epoch.

    Attributes:
        epoch: number of the epoch, from 0.
        step: number of updates applied at its end.
        seconds: wall time of the epoch, evaluation included.
        train, test: number of rows and then the sums over them, by split; empty if the split has no rows.
        learning_rate: learning rate of the epoch's last update.
        reduced_rate: learning rate from then on if the schedule `plateau` or the safeguard lowers it, else 0.
        safeguard: level of the safeguard from then on, if it acts, else empty.
    """

    epoch: int
    step: int
    seconds: float
    train: Sequence[float]
    test: Sequence[float]
    learning_rate: float = 0.0
    reduced_rate: float = 0.0
    safeguard: str = ""


@dataclass(frozen=True, slots=True)
class EpochsDone:
    """From the parameter server: epochs completed since the last such message, sent a few times a second at most."""

    epochs: Sequence[EpochSums]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """From the parameter server: the state of training between two rounds.

    Its arrays are `weights` and the optimizer's, float32, of the first shard's range; each other shard sends a
    `SnapshotPart`. If metrics rank rows, `epoch_scores` has the bytes of the scores of the rows in `epoch_sums`; see
    `raydient.steps.scores`. In a job that is not synchronous `arrivals` has the pushes since the last snapshot; see
    `raydient.steps.order`.

    Attributes:
        round: number of the next round.
        step: number of updates applied.
        epoch_sums: sums over the completed steps of the current epoch, as in `EpochSums.train`.
        final: whether training is over or pauses here, so that no snapshot follows.
        ending: why training is over; None if it is not.
        watched: state of the watched metrics after the last complete epoch, by what watches them.
        seconds: time of training, if the job has a limit of time.
        amendments: those that are in force.
        outstanding: rounds of an asynchronous job that were handed out and are not applied.
        holders: the workers that send their `Residuals`, where the job's codec feeds back.
    """

    round: int
    step: int
    epoch_sums: Sequence[float]
    final: bool
    ending: Ending | None = None
    watched: Mapping[str, Watched] = field(default_factory=dict)
    seconds: float = 0.0
    amendments: Sequence[Amendment] = ()
    outstanding: Sequence[int] = ()
    holders: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """From a parameter server with a further shard: its part of a `Snapshot`, with the arrays of its range.

    Attributes:
        shard: number of the shard, from 1.
        round, step: those of the snapshot.
    """

    shard: int
    round: int
    step: int


@dataclass(frozen=True, slots=True)
class Residuals:
    """From a worker: its part of a `Snapshot`, with the residuals of the leaves that it has computed in the generation.

    To a worker, before `Work`: all residuals of the checkpoint at which the generation begins; those of step 0, which
    are 0, are not sent. The arrays are residuals by name, see `raydient.steps.residuals`.

    Attributes:
        round: that of the snapshot.
    """

    round: int


@dataclass(frozen=True, slots=True)
class FetchShard:
    """From a worker: request for the `DataShard` with this number, one of those of the manifest in `Work`."""

    number: int


@dataclass(frozen=True, slots=True)
class NonFinite:
    """From the parameter server: a loss or a gradient is NaN or infinite.

    Attributes:
        kind: kind of the round, a step or an evaluation.
        step: number of updates applied before.
        parameter: name of the parameter nearest to the loss whose gradient is not finite; if all are finite, of the one
            with the largest gradient; empty for an evaluation.
        finite: whether all gradients are finite.
        skipped: number of steps skipped since the parameter server began, this one included; 0: it is not skipped.
        rolls_back: training returns to the end of the last epoch and goes on. No round follows if this is False and the
            step is not skipped.
        rollbacks: number of rollbacks of the job, this one included.
    """

    kind: RoundKind
    step: int
    loss: float
    parameter: str
    finite: bool
    skipped: int = 0
    rolls_back: bool = False
    rollbacks: int = 0


@dataclass(frozen=True, slots=True)
class Amended:
    """From the parameter server: an amendment is in force from `amendment.round` on, with the values in it.

    It is sent before anything that depends on them.
    """

    amendment: Amendment


@dataclass(frozen=True, slots=True)
class Overdue:
    """From the parameter server: workers that have not pushed all their leaves by the deadline; repeated every second.

    Attributes:
        round: number of the open round.
        silent_seconds: time since each of these workers was assigned leaves or pushed a sum.
    """

    round: int
    silent_seconds: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Refused:
    """From a parameter server: connections that it has closed since it began, by reason; see `wire.refusals`."""

    counts: Mapping[str, int]


MemberMessage = (
    Hello | Alive | Pong | Attached | Status | PlanInForce | EpochsDone | Snapshot | SnapshotPart | NonFinite | Overdue
    | Amended | Refused | Residuals | FetchShard
)  # fmt: skip
