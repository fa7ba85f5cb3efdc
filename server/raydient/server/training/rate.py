"""Samples per second."""

from collections.abc import Callable


class Rate:
    """Samples per second, over stretches long enough to mean something."""

    SHORTEST_SECONDS = 0.1

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._then, self._samples, self._rate = clock, clock(), 0, 0.0

    def begin(self, samples: int) -> None:
        """Samples that are not to be counted."""
        self._then, self._samples = self._clock(), samples

    def after(self, samples: int) -> float:
        """The rate now that so many samples are done; over a stretch too short, the one before."""
        now = self._clock()
        if now - self._then >= self.SHORTEST_SECONDS:
            self._rate = (samples - self._samples) / (now - self._then)
            self._then, self._samples = now, samples
        return self._rate
