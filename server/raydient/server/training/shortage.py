"""Whether training is suspended because too few workers are at work. An algorithm; the clock is handed in."""

from collections.abc import Callable

SHORT_SECONDS = 30.0
"""Grace period below the minimum number of workers before training is suspended."""


class Shortage:
    """Counts how long a run has had too few workers. One thread calls it.

    Attributes:
        standing: training is suspended.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.standing = False
        self._clock = clock
        self._since: float | None = None

    def begin(self) -> None:
        """Count from now on; processes are being started."""
        self._since = self._clock()

    def look(self, *, enough: bool) -> bool:
        """True if training is to be suspended or resumed now; `standing` says which."""
        if enough:
            self._since = None
            was_standing, self.standing = self.standing, False
            return was_standing
        if self._since is None:
            self._since = self._clock()
        if self.standing or self._clock() - self._since < SHORT_SECONDS:
            return False
        self.standing = True
        return True
