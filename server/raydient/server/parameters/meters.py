"""What a parameter server measures: time per step and phase, bytes exchanged. None of it touches the mathematics."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from raydient.server.training.reports import STEP_SECONDS_BUCKETS
from raydient.wire.channel import PHASES


@dataclass(slots=True)
class Meters:
    """Sums since the process began; `clock` in seconds."""

    clock: Callable[[], float]
    phase_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys((*PHASES, "apply"), 0.0))
    step_seconds_sum: float = 0.0
    exchange_bytes: dict[str, int] = field(default_factory=lambda: {"push": 0, "pull": 0})
    _counts: list[int] = field(default_factory=lambda: [0] * (len(STEP_SECONDS_BUCKETS) + 1))
    _last_step: float | None = None

    def pushed(self, seconds: Sequence[float], size_bytes: int) -> None:
        """A worker pushed so many bytes and spent so many seconds on each of PHASES."""
        for phase, spent in zip(PHASES, seconds, strict=True):
            self.phase_seconds[phase] += spent
        self.exchange_bytes["push"] += size_bytes

    def pulled(self, size_bytes: int) -> None:
        self.exchange_bytes["pull"] += size_bytes

    def stepped(self, apply_seconds: float) -> None:
        """An update was made."""
        now = self.clock()
        self.phase_seconds["apply"] += apply_seconds
        if self._last_step is not None:
            self._counts[bisect_left(STEP_SECONDS_BUCKETS, now - self._last_step)] += 1
            self.step_seconds_sum += now - self._last_step
        self._last_step = now

    @property
    def step_seconds_buckets(self) -> list[int]:
        """Cumulative counts for STEP_SECONDS_BUCKETS and infinity."""
        total, result = 0, []
        for count in self._counts:
            total += count
            result.append(total)
        return result
