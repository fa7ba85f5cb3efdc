"""The round that is being computed, as the conductor keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raydient.steps.schedule import Round
from raydient.steps.scores import Scores
from raydient.steps.tree import Node
from raydient.steps.watched import Watched

from .actions import EpochEnd
from .assignments import Assignments
from .position import Sums
from .requests import Keep, SetRate, Show


@dataclass(slots=True)
class Opened:
    """The round being computed."""

    round: Round
    assignments: Assignments
    contributions: dict[Node, Any] = field(default_factory=dict)
    sums: dict[Node, Sums] = field(default_factory=dict)
    scores: dict[Node, Scores] = field(default_factory=dict)
    total: Sums = field(default_factory=lambda: np.zeros(0))  # sums over all rows, once the round is complete
    end: EpochEnd | None = None  # of the epoch, once its last round is complete
    watched: Mapping[str, Watched] = field(default_factory=dict)  # the state after that epoch
    due: list[Keep | SetRate | Show] = field(default_factory=list)  # requests before that epoch ends

    @property
    def rows(self) -> int:
        return self.round.stop - self.round.start

    @property
    def loss(self) -> float:
        """Mean loss of the rows of a complete round."""
        return float(self.total[0]) / self.rows
