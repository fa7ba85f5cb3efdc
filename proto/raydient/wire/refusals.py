"""Counts of the peers that a process refuses: it closes the connection, and goes on."""

from .frames import DepartedPeerError, ProtocolError, UnexpectedPeerError

SECRET, PEER, FRAME = "secret", "peer", "frame"
"""Reasons: no proof of the secret; the number, generation or range of another; a frame that the protocol forbids."""


class Refusals:
    """Counts since the process began. Each process has one, in its `Network`.

    Attributes:
        counts: number of connections closed, by reason.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys((SECRET, PEER, FRAME), 0)

    def count(self, error: ProtocolError, *, proven: bool = True) -> None:
        """Count a connection that is closed because of `error`; `proven`: its peer has proven the secret."""
        if isinstance(error, DepartedPeerError):
            return
        reason = PEER if isinstance(error, UnexpectedPeerError) else FRAME
        self.counts[reason if proven else SECRET] += 1
