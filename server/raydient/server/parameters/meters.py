"""Meters of a parameter server: time per step and phase, bytes exchanged. They do not affect the mathematics."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from raydient.steps.measurements import STALENESS_BUCKETS, STEP_SECONDS_BUCKETS, GradientHealth, Measurements, Staleness
from raydient.wire.control import Computed
from raydient.wire.terms import PHASES

from .clipping import Clipped


@dataclass(slots=True)
class Meters:
    """Sums since the process began. `clock` returns seconds."""

    clock: Callable[[], float]
    _phase_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys((*PHASES, "apply"), 0.0))
    _computed: dict[int, Computed] = field(default_factory=dict)
    _step_seconds_sum: float = 0.0
    _exchange_bytes: dict[str, int] = field(default_factory=lambda: {"push": 0, "pull": 0})
    _saved_bytes: int = 0
    _counts: list[int] = field(default_factory=lambda: [0] * (len(STEP_SECONDS_BUCKETS) + 1))
    _last_step: float | None = None

    def pushed(self, seconds: Sequence[float], size_bytes: int) -> None:
        """Note that a worker has pushed `size_bytes` and spent `seconds` on each of PHASES."""
        for phase, spent in zip(PHASES, seconds, strict=True):
            self._phase_seconds[phase] += spent
        self.pushed_bytes(size_bytes)

    def computed(self, worker: int, leaves: int, seconds: float) -> None:
        """Note that a worker has computed `leaves` leaves of a whole step in `seconds`."""
        total = self._computed.get(worker, Computed(0, 0.0))
        self._computed[worker] = Computed(total.leaves + leaves, total.seconds + seconds)

    def forget(self, worker: int) -> None:
        """Drop the work of a worker that has left."""
        self._computed.pop(worker, None)

    @property
    def work(self) -> Mapping[int, Computed]:
        """The work of each worker."""
        return dict(self._computed)

    def pushed_bytes(self, size_bytes: int) -> None:
        """Note that `size_bytes` of a push have arrived at another shard."""
        self._exchange_bytes["push"] += size_bytes

    def pulled(self, size_bytes: int) -> None:
        """Note that a worker has received weights of `size_bytes`, or has them in shared memory."""
        self._exchange_bytes["pull"] += size_bytes

    def saved(self, size_bytes: int) -> None:
        """Note that pushes of a worker would have taken `size_bytes` more without a codec."""
        self._saved_bytes += size_bytes

    def stepped(self, apply_seconds: float) -> None:
        """Note that an update has been completed, and took `apply_seconds` to apply."""
        now = self.clock()
        self._phase_seconds["apply"] += apply_seconds
        if self._last_step is not None:
            self._counts[bisect_left(STEP_SECONDS_BUCKETS, now - self._last_step)] += 1
            self._step_seconds_sum += now - self._last_step
        self._last_step = now

    def read(
        self,
        loss: float,
        learning_rate: float,
        gradient_health: GradientHealth | None,
        clipped: Clipped | None = None,
        skipped: int = 0,
    ) -> Measurements:
        """Return what has been measured, together with results of the last step."""
        return Measurements(
            loss=loss,
            learning_rate=learning_rate,
            phase_seconds=dict(self._phase_seconds),
            step_seconds_buckets=tuple(accumulate(self._counts)),
            step_seconds_sum=self._step_seconds_sum,
            exchange_bytes=dict(self._exchange_bytes),
            saved_bytes=self._saved_bytes,
            gradient_health=gradient_health,
            clip_factor=clipped.factor if clipped else None,
            clipped_steps=clipped.steps if clipped else 0,
            skipped_steps=skipped,
        )


def staleness_of(counts: Mapping[int, int]) -> Staleness | None:
    """Return the histogram of numbers of gradients by their staleness; None without gradients."""
    if not counts:
        return None
    buckets = [0] * (len(STALENESS_BUCKETS) + 1)
    for staleness, count in counts.items():
        buckets[bisect_left(STALENESS_BUCKETS, staleness)] += count
    return Staleness(tuple(accumulate(buckets)), sum(staleness * count for staleness, count in counts.items()))
