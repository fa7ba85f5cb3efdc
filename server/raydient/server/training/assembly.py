"""Puts the parts of a snapshot together that the parameter servers and workers send. No I/O."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from raydient.steps.arrays import AnyArray
from raydient.steps.ranges import Range
from raydient.steps.scores import EPOCH_SCORES
from raydient.wire import control
from raydient.wire.frames import ProtocolError, UnexpectedPeerError

_Parts = deque[tuple[int, control.Arrays]]
"""Rounds and arrays, in the order of arrival."""
Whole = tuple[control.Snapshot, control.Arrays]
"""A snapshot with the arrays of the whole vector."""


class Assembly:
    """The parts of the newest snapshot. With one shard its part is the snapshot, and nothing is copied."""

    def __init__(
        self,
        division: Sequence[Mapping[str, Range]],
        residuals: Mapping[str, AnyArray] = MappingProxyType({}),
    ) -> None:
        """`division` has the range of each vector that each shard holds.

        `residuals` are those of all leaves at the beginning of the generation, by name, where a codec feeds back. Those
        of leaves that no worker has computed since are still the same.
        """
        self._division, self._residuals = division, residuals
        self._snapshot: control.Snapshot | None = None
        self._parts: list[_Parts] = [deque() for _ in division]  # by shard
        self._of_workers: defaultdict[int, _Parts] = defaultdict(deque)

    def add(
        self, shard: int | None, message: control.Snapshot | control.SnapshotPart, arrays: control.Arrays
    ) -> Whole | None:
        """Add the part of a shard; return the snapshot if it is complete.

        Args:
            shard: number of the shard that the sender has; None if it is no parameter server.
            message: a `Snapshot` from the first shard, a `SnapshotPart` from any other.
            arrays: those of the shard's ranges, and scores from the first shard.

        Raises:
            ProtocolError: the part is not that of the sender, or does not have the arrays of its ranges.
        """
        sent = message.shard if isinstance(message, control.SnapshotPart) else 0
        if shard is None or sent != shard or isinstance(message, control.Snapshot) != (shard == 0):
            raise UnexpectedPeerError(f"a part of shard {sent} from shard {shard}")
        held = self._division[shard]
        if arrays.keys() - {EPOCH_SCORES} != held.keys():
            raise ProtocolError(f"a part of shard {shard} with {', '.join(arrays)} instead of {', '.join(held)}")
        for name, (start, stop) in held.items():
            values = arrays[name]
            if values.shape != (stop - start,) or values.dtype != np.float32:
                raise ProtocolError(
                    f"{name}, {values.dtype} of shape {values.shape}, for the range {start} to {stop} of shard {shard}"
                )
        self._parts[shard].append((message.round, arrays))
        if isinstance(message, control.Snapshot):
            self._snapshot = message
        return self._complete()

    def add_residuals(self, worker: int, message: control.Residuals, arrays: control.Arrays) -> Whole | None:
        """Add the residuals of a worker's leaves; return the snapshot if it is complete.

        ProtocolError if they are none of the job, UnexpectedPeerError if another worker has sent some of them.
        """
        for other, parts in self._of_workers.items():
            for round_, sent in parts:
                if other != worker and round_ == message.round and sent.keys() & arrays.keys():
                    raise UnexpectedPeerError(f"residuals from worker {worker} that worker {other} has")
        for name, values in arrays.items():
            expected = self._residuals.get(name)
            if expected is None or values.shape != expected.shape or values.dtype != np.float32:
                raise ProtocolError(f"{name}, {values.dtype} of shape {values.shape}, is no residual of the job")
        self._of_workers[worker].append((message.round, arrays))
        return self._complete()

    def _complete(self) -> Whole | None:
        snapshot = self._snapshot
        if snapshot is None:
            return None
        awaited = [*self._parts, *(self._of_workers[worker] for worker in snapshot.holders)]
        for parts in awaited:
            while parts and parts[0][0] < snapshot.round:
                parts.popleft()  # of an earlier snapshot, which is not complete and will not be
        if not all(parts and parts[0][0] == snapshot.round for parts in awaited):
            return None
        # Two snapshots may be of one round. Each part belongs to the first of them that lacks it.
        arrays = [parts.popleft()[1] for parts in self._parts]
        residuals = dict(self._residuals)
        for worker in snapshot.holders:
            residuals |= self._of_workers[worker].popleft()[1]
        for worker in self._of_workers.keys() - set(snapshot.holders):
            del self._of_workers[worker]
        self._snapshot = None
        if len(arrays) == 1:
            return snapshot, {**arrays[0], **residuals} if residuals else arrays[0]
        whole = {
            name: values if name == EPOCH_SCORES else np.concatenate([part[name] for part in arrays])
            for name, values in arrays[0].items()
        }
        return snapshot, whole | residuals
