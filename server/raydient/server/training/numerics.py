"""The arithmetic of a run: its fingerprint, and the machines that may take part."""

from collections.abc import Mapping

from .fingerprint import differences, fingerprint
from .reports import Notice

MIXED = "mixed"
"""Entry of a checkpoint's numerics that lists the other probes of machines that computed it."""
PROBE = "probe"


class Numerics:
    """Decides which machines take part in a run, by `training.numerics` and their probes. One thread calls it.

    The reference is the process of the coordinator, because the initial weights and the standardization are computed
    there. It has to agree with the checkpoint from which training goes on.
    """

    def __init__(self, mode: str, own: Mapping[str, str] | None = None) -> None:
        """Compare with this process.

        Args:
            mode: kind of `training.numerics`.
            own: the fingerprint of this process; computed if None.
        """
        self._own = dict(fingerprint() if own is None else own)
        self._mode, self._others = mode, set[str]()

    @property
    def mixed(self) -> bool:
        """True if a machine with another probe may have computed a part of the weights."""
        return bool(self._others)

    @property
    def mixture(self) -> str:
        """A sentence about mixed bits, for the user."""
        probes = ", ".join(probe[:12] for probe in [self._own[PROBE], *sorted(self._others)])
        return f"bits are mixed: machines with the probes {probes} computed the weights"

    @property
    def record(self) -> dict[str, str]:
        """The fingerprint for a checkpoint's manifest, with the other probes if bits are mixed."""
        return self._own | ({MIXED: " ".join(sorted(self._others))} if self._others else {})

    def refusal(self, record: Mapping[str, str]) -> str:
        """Return why training must not go on from a checkpoint with this record; empty if it may.

        A record of a version without probes is not compared.
        """
        probe = record.get(PROBE, self._own[PROBE])
        if self._mode == "any" or probe == self._own[PROBE]:
            return ""
        changed = "; ".join(text for text in self._differences(record) if not text.startswith(PROBE))
        why = f" ({changed})" if changed else ""
        return f"its checkpoint was computed by a machine with other bits than this one: {self._probes(probe)}{why}"

    def go_on_from(self, record: Mapping[str, str]) -> list[Notice]:
        """Note the record of the checkpoint from which training goes on; return notices about what differs."""
        others = {*record.get(MIXED, "").split(), record.get(PROBE, self._own[PROBE])}
        changed = self._differences(record)
        text = f"other bits are possible, the checkpoint was computed with {'; '.join(changed)}"
        return [
            *([Notice("NUMERICS_CHANGED", text)] if changed else []),
            *self._mix(others, "the checkpoint was computed by machines with other bits"),
        ]

    def admit(self, member: str, probe: str, host: str) -> tuple[bool, list[Notice]]:
        """Decide about a member that introduces itself.

        Args:
            member: its role and number.
            probe: that of its process.
            host: address of its machine; may be empty.

        Returns:
            True if it gets work, and the notices about it.
        """
        if probe == self._own[PROBE]:
            return True, []
        text = f"{member} at {host or 'an unnamed host'} computes other bits: {self._probes(probe)}"
        if self._mode == "any":
            return True, self._mix({probe}, text)
        return False, [Notice("NUMERICS_REFUSED", f"{text}; it gets no work")]

    def _mix(self, probes: set[str], why: str) -> list[Notice]:
        """Note these probes; return a notice if one of them is new and differs."""
        new = probes - {self._own[PROBE]} - self._others
        self._others |= new
        return [Notice("NUMERICS_MIXED", f"bits are mixed: {why}")] if new else []

    def _probes(self, probe: str) -> str:
        return f"probe {probe[:12] or 'absent'}, not {self._own[PROBE][:12]}"

    def _differences(self, record: Mapping[str, str]) -> list[str]:
        return differences({key: value for key, value in record.items() if key != MIXED}, self._own)
