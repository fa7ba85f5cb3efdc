"""An amendment: new values of settings of a job that is not over. It is part of the position of training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Amendment:
    """An amendment of a job's specification, which takes effect between two rounds.

    Attributes:
        number: place among the amendments of the job, from 1.
        settings: new values in JSON form, by the path of the field, such as `training.max_steps`; None: without it.
        round: number of the first round with these values; None before that is decided.
        step: number of updates before that round; the least that it may be, before that is decided.
    """

    number: int
    settings: Mapping[str, Any]
    round: int | None = None
    step: int = 0
