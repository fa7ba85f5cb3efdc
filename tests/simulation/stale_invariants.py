"""The promises of a job that is not synchronous, whose weights depend on the order of arrival."""

from raydient.server.parameters import safeguard
from raydient.server.training.order_record import read_order
from raydient.server.training.replay import replay
from raydient.steps.schedule import RoundKind

from .invariants import Invariants


class StaleInvariants(Invariants):
    """Checks a job that is not synchronous, as `Invariants` does, where the weights do not matter.

    - In the end the record has each leaf of each step once, computed on weights within the bound, which a safeguard
      lowers.
    - The digest is that of a replay of the record in one process, and so are the results of each epoch.
    - A worker gets leaves when it has pushed those before, and one that shares memory computes on a copy.
    """

    def _is_astray(self, member):
        return True

    def _check_epoch(self, epoch, metrics):
        """Accept another result of an epoch that is computed again."""

    def _check_epochsdone(self, sender, receiver, frame, message):
        """Accept any sums."""

    def _same_weights(self, file, step, problem):
        """Accept any weights before the end."""

    def _check_digest(self, digest):
        prepared, manifest = self._twin.prepared, self.last_manifest()
        parts, amendments = read_order(self._directory, self._disk.after_power_loss()), manifest.amendments
        ends = []
        again = replay(prepared, parts, amendments, manifest.step, ended=ends.append)
        assert digest == again, "other bits than a replay"
        self._check_record(prepared, amendments, parts, ends)
        finish = prepared.network.finish
        expected = {end.epoch + 1: [dict(finish(sums)) for sums in (end.train, end.test) if sums] for end in ends}
        recorded = {one.epoch: [without_rate(one.metrics[split]) for split in one.metrics] for one in self.history()}
        assert recorded == expected, "the record has epochs that do not count"

    def _check_record(self, prepared, amendments, parts, ends):
        schedule, counted, synchronous = prepared.amended(amendments).schedule, [], set(range(self._durable))
        for begin, _, arrivals in parts:
            step, last = begin - 1, None
            for arrival in arrivals:
                step, last = (step, last) if arrival.round == last else (step + 1, arrival.round)
                synchronous.discard(step)
                counted += [(arrival.round, leaf) for leaf in range(arrival.first, arrival.last)]
                amended = prepared.amended([one for one in amendments if one.step <= step])
                limit = bound(amended.spec.training.consistency, step, ends)
                assert step >= arrival.version, "a leaf is computed on weights of the future"
                assert limit is None or step - arrival.version <= limit, "the bound of staleness is broken"
        rounds = [round_ for round_ in map(schedule.round, range(schedule.rounds)) if round_.kind is RoundKind.TRAIN]
        rounds = [round_ for round_ in rounds if round_.step not in synchronous]
        assert sorted(counted) == [(round_.number, leaf) for round_ in rounds for leaf in range(round_.leaves)]


def bound(consistency, step, ends):
    """Return the bound of the staleness in a step: that of the safeguard's last level before it, if it has acted."""
    texts = [end.safeguard for end in ends if end.step <= step and end.safeguard]
    levels = {str(level): level.limit for level in safeguard.levels(consistency)}
    return levels.get(texts[-1], consistency.limit) if texts else consistency.limit


def without_rate(metrics):
    """Return metrics without the learning rate, which has no sums."""
    return {name: value for name, value in metrics.items() if name != "learning_rate"}
