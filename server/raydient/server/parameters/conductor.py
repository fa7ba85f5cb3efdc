"""The conductor: the parameter server as an algorithm; events in, actions out, without sockets, clock or processes.

It holds the position of training and ends rounds: it hands out leaves, takes the sums over nodes, requests the update
of the weights from the shards when the sum over all leaves is complete, and opens the next round. `Verdict` leads a
step through the shards. Plans take effect here and nowhere else, so members never disagree about one. A policy of
`consistency` decides which rounds are open at a time; in a synchronous job it is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from raydient.spec.consistency import SYNCHRONOUS, Consistency
from raydient.steps.amendments import Amendment
from raydient.steps.ending import Ending
from raydient.steps.schedule import Round, RoundKind, Schedule
from raydient.steps.scores import Scores
from raydient.steps.tree import Node

from .actions import Action, Amended, Boundary, Diverged
from .amending import Amending
from .consistency import Policies, policy_of
from .epoch_watch import NOTHING, EpochWatch
from .health import LayerSums
from .open_rounds import OpenRounds
from .opened import Opened
from .planned import PlannedWorkers
from .position import Position, Sums
from .requests import Answer, Mark, RollBack, Show
from .rollback import rolled_back
from .rule import UpdateRule
from .verdict import Verdict


class Conductor:
    """The position of a job and the round being computed. For one thread.

    Every shard gets each request among the actions, and `answered` takes its answer. A gradient whose contribution was
    handed to `push` must not change before an `Assign` that keeps no gradient of its round.

    Attributes:
        last_loss: loss of the last step; None before the first.
        learning_rate: learning rate of the last update; 0 before the first.
        verdict: the end of the last step, with what was measured in steps.
    """

    def __init__(
        self,
        schedule: Schedule,
        position: Position,
        rule: UpdateRule,
        layers: LayerSums,
        *,
        ranks: Sequence[int] = (),
        shards: int = 1,
        watch: EpochWatch = NOTHING,
        limit_seconds: float = inf,
        amending: Amending | None = None,
        consistency: Consistency = SYNCHRONOUS,
        policies: Policies = lambda consistency, watched: policy_of(consistency, 1, watched),
    ) -> None:
        """Open no round yet.

        Args:
            schedule: rounds of the job.
            position: the next round, with the sums of the unfinished epoch.
            rule: the update rule, for the verdict on a step.
            layers: adds the shards' measurements by layer.
            ranks: places among the sums that take the ranks of an epoch's rows, see `steps.scores`.
            shards: number of shards.
            watch: decides at the end of an epoch.
            limit_seconds: time of training after which it ends.
            amending: the amendments that wait; None if there will be none.
            consistency: the consistency model.
            policies: returns the policy of a model, with `Position.watched`.
        """
        self.schedule, self.position = schedule, position
        self.last_loss: float | None = None
        self.learning_rate = rule.learning_rate(position.step - 1) if position.step else 0.0
        self._rule, self.verdict = rule, Verdict(rule, layers, shards)
        self._ranks, self._watch, self._limit = ranks, watch, limit_seconds
        self._amending, self._began = amending, position.round
        self._plan, self._consistency = PlannedWorkers(), consistency
        self._open, self._policies = OpenRounds(policies(consistency, position.watched)), policies
        self._snapshot_wanted = self._held = self._ended = False

    @property
    def current(self) -> Round | None:
        """The first round being computed; None before the first plan, after the last round, and without workers."""
        return self._open.current

    def open_round(self, number: int) -> Round | None:
        """Return the round of this number; None if it is not open."""
        opened = self._open.get(number)
        return opened.round if opened is not None else None

    @property
    def is_stale(self) -> bool:
        """True if the weights change while workers compute."""
        return self._open.policy.is_stale

    @property
    def owing(self) -> Mapping[int, int]:
        """Number of leaves of open rounds that are assigned and not pushed, by worker."""
        return self._open.owing

    # ---- events

    def attached(self, worker: int) -> None:
        """Note that a worker has joined; a plan may name it from now on."""
        self._plan.attach(worker)

    def plan(self, number: int, workers: Sequence[int], shares: Sequence[float]) -> list[Action]:
        """Share the work among these workers, from the next leaf that is handed out on.

        `PlanInForce` follows when the rounds that are open now have ended, at once if none is.
        """
        self._plan.change(number, workers, shares, self._open.all())
        if self._open:
            return self._confirmed(self._hand_out())
        return self._confirmed([] if self._ended else self._next_round())

    def hold(self, held: bool) -> list[Action]:
        """Begin no further round while `held`. Open rounds, plans and snapshots are not affected."""
        changed, self._held = held != self._held, held
        return self._begin() if (changed or not self._open) and not self._ended else []

    def detached(self, worker: int) -> list[Action]:
        """Remove a worker. Its leaves go to the others of the plan at once, if there are any."""
        self._plan.detach(worker)
        self._open.forget(worker)
        return self._confirmed(self._hand_out()) if self._open else []

    def snapshot(self) -> list[Action]:
        """Answer with a Boundary: now if no round is open, else when the open one ends.

        If the plan names no worker, the answer does not wait for the end of the open round: it is the state in which
        that round began. After the final one, and if training diverged, there is no answer.
        """
        return self._request_boundary(final=False, at_once=False)

    def pause(self, *, at_once: bool = False) -> list[Action]:
        """Answer with the final Boundary, as `snapshot` does; `at_once` does not wait for the end of the open round."""
        return self._request_boundary(final=True, at_once=at_once)

    def spend(self, seconds: float) -> list[Action]:
        """Add to the time of training. Past the limit, answer with the final Boundary when the open round ends."""
        self.position.seconds += seconds
        return [] if self._ended or self.position.seconds < self._limit else self.pause()

    def amend(self, amendment: Amendment) -> list[Action]:
        """Have an amendment take effect where the next round begins: now if none is open."""
        assert self._amending is not None, "a job that can be amended"
        self._amending.add(amendment, self.position)
        return [] if self._open or self._ended else self._next_round()

    def push(
        self, round_: int, node: Node, contribution: Any, sums: Sums, scores: Scores | None = None
    ) -> tuple[str, list[Action]]:
        """Add the sum over a node.

        Args:
            round_: number of the round that it belongs to.
            node: a node of the round's reduction tree.
            contribution: key of the node's gradient for the shards; without meaning in an evaluation.
            sums: sums over the node's rows, the loss first.
            scores: scores of the node's rows, (rows, ranks), if metrics rank rows.

        Returns:
            An empty text if the sum counts, else the reason why it does not: LATE, EARLY or DUPLICATE. Then the
            resulting actions.
        """
        opened = self._open.get(round_)
        if opened is None:
            return self._open.refusal(round_), []
        if not opened.assignments.accepts(node):
            return "DUPLICATE", []
        opened.assignments.done(node)
        opened.sums[node], opened.contributions[node] = sums, contribution
        if scores is not None:
            opened.scores[node] = scores
        return "", self._confirmed(self._advance())

    def answered(self, shard: int, answer: Answer) -> list[Action]:
        """Take the answer of a shard to the last request; the round goes on when all shards have answered.

        ValueError if no answer of this shard is due.
        """
        every_one = self.verdict.take(shard, answer)
        return self._confirmed(self._go_on()) if every_one and self._open else []

    # ---- the end of a round

    def _advance(self) -> list[Action]:
        """Apply the next round, if it is complete and no other is being applied; hand out leaves that wait."""
        opened = self._open.complete(self.position)
        return self._hand_out() if opened is None else self._complete(opened)

    def _complete(self, opened: Opened) -> list[Action]:
        """Request the update of a step whose leaves are all done; end an evaluation."""
        round_, loss = opened.round, opened.complete()
        if round_.kind is RoundKind.EVALUATE:
            if not np.isfinite(loss):
                return self._diverge(opened, Diverged(round_.kind, round_.step, loss, "", finite=True))
            opened.end_epoch(self.position, self._watch, self._ranks)
            opened.decide(self.position, self._watch, self._rule)
            return self._finish(opened)
        if np.isfinite(loss) or not (self._rule.skips or self._rule.rollback):
            self.last_loss = loss
        if self._rule.rollback and self.schedule.is_epoch_end(round_.number):
            opened.due = [Mark(round_)]
        staleness = self.position.step - min(opened.versions.values()) if self.is_stale else 0
        update, measures = self.schedule.round(self.position.round), self.schedule.measures_health(round_)
        self._rule.damp(staleness)
        self.learning_rate = self._rule.learning_rate(update.step)
        return [self.verdict.begin(update, opened.contributions, loss, measures=measures, staleness=staleness)]

    def _go_on(self) -> list[Action]:
        """Continue a round after the answers of all shards to a request."""
        action, opened = self.verdict.go_on(), self._open.applied
        if opened is None:  # an evaluation begins
            return self._boundary() if self._ended else self._hand_out()
        if action is None:
            return self._finish(opened)
        return self._diverge(opened, action) if isinstance(action, Diverged) else [action]

    def _diverge(self, opened: Opened, diverged: Diverged) -> list[Action]:
        """Return to the end of the last epoch, with a smaller learning rate, or end training."""
        rule, rollbacks, round_ = self._rule.rollback, self.position.rollbacks, opened.round
        if rule is None or rollbacks == rule.max_rollbacks:
            self._open.clear()
            self._ended = True
            return [replace(diverged, rollbacks=rollbacks)]
        opened.rollback = replace(diverged, rolls_back=True, rollbacks=rollbacks + 1)
        factor = self._watch.rate_factor(rolled_back(self.position.watched))
        self._rule.learning_rate.factor = factor
        opened.due = [RollBack(round_, factor)]
        if self._rule.average is not None and round_.kind is RoundKind.EVALUATE:
            opened.due.append(Show(round_, average=False))
        return self._finish(opened)

    def _finish(self, opened: Opened) -> list[Action]:
        """Make the next request that is due; end the round after the last one."""
        if opened.due:
            return [self.verdict.ask(opened.due.pop(0))]
        return self._end_round(opened)

    def _end_round(self, opened: Opened) -> list[Action]:
        """Add up the results and open the next round."""
        trains = opened.round.kind is RoundKind.TRAIN
        skip = self.verdict.skip if trains else None
        first: list[Action] = [event for event in (skip, opened.rollback) if event is not None]
        if trains and self.is_stale:
            self.position.note(opened.arrivals())
        if trains and not first:
            opened.complete_step(self.position)
        elif trains:
            self.position.skip_step()
        if self.schedule.is_epoch_end(self.position.round) and opened.end is None:
            opened.end_epoch(self.position, self._watch, self._ranks)
        if opened.rollback is not None:
            self.position.roll_back()
        self._open.close(opened, self.position)
        self.position.round += 1
        if opened.end is not None:
            self.position.complete_epoch(opened.watched)
            if not self._open:  # as after each evaluation
                self._open.policy = self._policies(self._consistency, opened.watched)
            first.append(opened.end)
        return [*first, *self._next_round()]

    # ---- between rounds

    def _confirmed(self, actions: list[Action]) -> list[Action]:
        """Add `PlanInForce`, if that is due."""
        return [*actions, *self._plan.in_force(self._open.__contains__)]

    def _request_boundary(self, *, final: bool, at_once: bool) -> list[Action]:
        if not self._open and self._ended:
            return []
        self._ended |= final
        self._snapshot_wanted = True
        at_once |= self._open.between or not self._plan.workers
        due = not self._open or (self.verdict.pending is None and at_once)
        return self._confirmed(self._boundary()) if due else []

    def _boundary(self) -> list[Action]:
        """Answer a snapshot request; open rounds have not changed the weights yet."""
        self._snapshot_wanted = False
        if self._ended:
            self._open.clear()
        return [Boundary(self._ended, self._reason())]

    def _reason(self) -> Ending | None:
        """Return the reason why no round follows; None if one does. A function of the position alone."""
        if self.position.round == self.schedule.rounds:
            return Ending.MAX_STEPS if self.schedule.max_steps else Ending.COMPLETE
        epochs, _ = self.schedule.position(self.position.round)
        if self._watch.stops(self.position.watched, epochs):
            return Ending.STOPPED_EARLY
        return Ending.MAX_MINUTES if self.position.seconds >= self._limit else None

    def _next_round(self) -> list[Action]:
        amended = self._amend()
        if self._reason() is not None:
            self._ended = self._snapshot_wanted = True
        boundary = [*amended, *(self._boundary() if self._snapshot_wanted else [])]
        return boundary if self._ended else [*boundary, *(self._advance() if self._open else self._begin())]

    def _amend(self) -> list[Action]:
        """Put the amendments that are due into force. A snapshot follows, unless training has just begun there."""
        amended: list[Action] = []
        if self._amending is None or self._open or self.position.outstanding:
            return amended
        for amendment, settings in self._amending.due(self.position):
            self.schedule, self._rule = settings.schedule, settings.rule
            self._watch, self._limit = settings.watch, settings.limit_seconds
            self.verdict.amend(settings.rule)
            self._consistency = settings.training.consistency
            self._open.policy = self._policies(self._consistency, self.position.watched)
            self._snapshot_wanted |= self.position.round > self._began
            amended.append(Amended(amendment, settings))
        return amended

    def _begin(self) -> list[Action]:
        """Open a round, if none is open, and hand out leaves."""
        if self.verdict.pending is not None or self._held or not self._plan.workers:
            return []
        if not self._open:
            opened = self._open_next()
            if opened is not None and self._rule.average is not None and opened.round.kind is RoundKind.EVALUATE:
                return [self.verdict.ask(Show(opened.round, average=True))]
        return self._hand_out()

    def _open_next(self) -> Opened | None:
        """Open the next round, if it may be open beside the others."""
        if self._held or self._ended:
            return None
        return self._open.open_next(self.schedule, self.position, self._amending)

    def _hand_out(self) -> list[Action]:
        """Assign leaves that wait. Without workers, a requested snapshot does not wait for the end of the round."""
        if self.verdict.pending is not None:
            return []
        if not self._plan.workers:
            return self._boundary() if self._snapshot_wanted else []
        return [*self._open.hand_out(self.position, self._plan.workers, self._plan.shares, self._open_next)]
