"""The workers of the plan, with their shares of the work. No I/O."""

from collections.abc import Callable, Sequence

from .actions import PlanInForce
from .opened import Opened


class PlannedWorkers:
    """The workers among which leaves are divided.

    Attributes:
        workers: those that the plan names and that are attached.
        shares: their shares of the work, in the same order.
    """

    def __init__(self) -> None:
        self.workers: Sequence[int] = ()
        self.shares: Sequence[float] = ()
        self._attached: set[int] = set()
        self._unconfirmed: tuple[int, Sequence[Opened]] | None = None  # a plan, the rounds open at its arrival

    def attach(self, worker: int) -> None:
        """Note that a worker has joined; a plan may name it from now on."""
        self._attached.add(worker)

    def detach(self, worker: int) -> None:
        """Remove a worker."""
        self._attached.discard(worker)
        self._keep_attached(self.workers, self.shares)

    def change(self, number: int, workers: Sequence[int], shares: Sequence[float], opened: Sequence[Opened]) -> None:
        """Use plan `number` from now on; `opened` are the rounds that are open now.

        Workers that have detached meanwhile are left out: leaves assigned to them would wait for ever.
        """
        self._keep_attached(workers, shares)
        self._unconfirmed = number, opened

    def in_force(self, is_open: Callable[[Opened], bool]) -> list[PlanInForce]:
        """Report the plan, once, when no round is open that was open at its arrival."""
        if self._unconfirmed is None or any(is_open(opened) for opened in self._unconfirmed[1]):
            return []
        (number, _), self._unconfirmed = self._unconfirmed, None
        return [PlanInForce(number)]

    def _keep_attached(self, workers: Sequence[int], shares: Sequence[float]) -> None:
        kept = [(w, s) for w, s in zip(workers, shares, strict=True) if w in self._attached]
        self.workers, self.shares = [w for w, _ in kept], [s for _, s in kept]
