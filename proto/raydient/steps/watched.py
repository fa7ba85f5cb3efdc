"""The state of a watched metric at the end of an epoch. It is part of the position of training, as the round is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watched:
    """The best value of a metric so far.

    Attributes:
        best: the value; None before the first epoch in which the metric is a number.
        epoch: number of the epoch that had it, from 1; 0 before the first.
        wait: epochs since then without an improvement.
        cooldown: number of epochs to come in which the learning rate is not reduced.
        reductions: number of reductions of the learning rate.
    """

    best: float | None = None
    epoch: int = 0
    wait: int = 0
    cooldown: int = 0
    reductions: int = 0
