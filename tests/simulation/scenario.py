"""Scripted runs of a job: a text of orders to the world, one a line, which is also the scenario's documentation.

    # Title of the scenario
    job workers=2 servers=2
    wait worker 0: gets WEIGHTS 2
    kill server 1
    wait coordinator: reports Started
    never coordinator: reports Started(step=0

`wait` waits for a line of the trace after the last one that matched; `never` fails at a later line that matches. A
script whose waits have not all come true when the job has ended fails. Numbers of members go on after a restart.
"""

import os
import re
from copy import copy
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from unittest.mock import patch

from raydient.wire import control
from raydient.workers.data import PreparedSets, shards
from raydient.workers.data.prepared import CACHE_GIB

from .job import Job
from .seeds import BOUND
from .twin import folder, small_pieces, tiny_twin

FAULTS = {"kill", "freeze", "cut", "part", "lose", "slow", "crash"}
SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


class Scenario:
    """A text and its place in a run.

    Attributes:
        title: the first line.
        job: the job that runs.
    """

    def __init__(self, text):
        title, settings, *orders = [line for line in text.splitlines() if line.strip()]
        assert title.startswith("# "), "a scenario begins with a title"
        assert settings.startswith("job"), "the job follows the title"
        self.title = title[2:]
        numbers = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", settings)}
        optimizer = re.search(r"optimizer=(\w+)", settings)
        kind, table = optimizer[1] if optimizer else "adam", bool(numbers.get("table", 0))
        twin = tiny_twin(kind, numbers.get("servers", 1), table=table, codec=codec_of(settings))
        if numbers.get("kept", 0):
            twin = kept(twin)
        self.job = Job(1, twin, workers=numbers.get("workers", 1), local=bool(numbers.get("local", 0)))
        self._orders, self._read, self._never = orders, 0, []
        self.job.world.after.append(self._advance)

    def run(self):
        """Run the job to its end. AssertionError if a promise is broken or the script is not at its end."""
        try:
            self.job.run(limit=BOUND)
            self._advance()
            assert not self._orders, f"the job ends before {self._orders[0]!r}"
        finally:
            self.job.close()

    def _advance(self):
        """Compare the new lines of the trace, and follow the orders up to the next `wait`."""
        trace = self.job.world.trace
        while True:
            self._follow()
            if self._read == len(trace):
                return
            _, _, name, text = trace[self._read]
            self._read += 1
            line = f"{name}: {text() if callable(text) else text}"
            for pattern in self._never:
                assert not line.startswith(pattern), f"never {pattern}: {line}"
            if self._orders and line.startswith(self._orders[0].removeprefix("wait ")):
                del self._orders[0]

    def _follow(self):
        while self._orders and not self._orders[0].startswith("wait "):
            order = self._orders.pop(0)
            verb, _, rest = order.partition(" ")
            self.job.world.note("script", order)
            self.job.invariants.undisturbed &= verb not in FAULTS
            getattr(self, f"_{verb}_order")(rest)

    def _process(self, name):
        (process,) = [one for one in self.job.world.living() if one.name == name]
        return process

    def _never_order(self, pattern):
        self._never.append(pattern)

    def _kill_order(self, name):
        self._process(name).end()

    def _freeze_order(self, name):
        self._process(name).freeze()

    def _thaw_order(self, name):
        self._process(name).thaw()

    def _slow_order(self, name):
        self._process(name).pace = 0.02

    def _fast_order(self, name):
        self._process(name).pace = 0.0

    def _cut_order(self, names):
        """End the connections between two processes; frames that are on their way are lost."""
        for connection in self._between(names):
            connection.cut(4)

    def _lose_order(self, rest):
        """Lose the next frame of a kind from one process to another, and end its connection with it."""
        kind, sender, receiver = re.fullmatch(r"(\w+) (.+) - (.+)", rest).groups()
        world = self.job.world

        def lost(connection, header):
            if (header.kind.name, connection.owner.name, connection.peer.owner.name) != (kind, sender, receiver):
                return False
            world.lost = None
            world.note(receiver, f"never gets {kind} {header.round} [{header.first}, {header.last}) from {sender}")
            return True

        world.lost = lost

    def _fill_order(self, _):
        self.job.disk.fill()

    def _free_order(self, _):
        self.job.disk.make_room()

    def _fail_order(self, operation):
        self.job.disk.fail_at(operation)

    def _crash_order(self, rest):
        """End the coordinator's machine just before an operation on its disk; the number chooses what survives."""
        ending, _, operation = rest.partition(" ")
        self.job.disk.end_user_at(operation, int(ending))

    def _repeat_order(self, names):
        """Send the last push of one process to another again."""
        first, second = names.split(" - ")
        ends = [c for c in self._between(names) + [c.peer for c in self._between(names)] if c.has_pushed]
        (end,) = [c for c in ends if (c.owner.name, c.peer.owner.name) == (first, second)]
        end.repeat()

    def _part_order(self, names):
        self.job.world.partition(*names.split(" - "), float("inf"))

    def _heal_order(self, names):
        self.job.world.heal(*names.split(" - "))

    def _sleep_order(self, seconds):
        """Wait for a line that a timer writes."""
        world = self.job.world
        self._orders.insert(0, f"wait timer: {seconds} s are over")
        world.after_seconds(float(seconds), lambda: world.note("timer", f"{seconds} s are over"))

    def _scale_order(self, number):
        self.job.orders.append(control.Scale(int(number), 1))

    def _pause_order(self, _):
        self.job.orders.append(control.Command(control.Order.PAUSE))

    def _between(self, names):
        pair = set(names.split(" - "))
        ends = [c for c in self.job.world.connections if {c.owner.name, c.peer.owner.name} == pair]
        opened = [c for c in ends if not c.is_closed and not c.peer.is_closed]
        assert opened, f"no connection {names}"
        return opened[::2]


def codec_of(text):
    """Return the codec of the scenario's job."""
    return "top_k" if "residuals=1" in text else "none"


def kept(twin):
    """Return the twin with its data in a kept file of many data shards, which workers fetch one after the other."""
    twin, dataset, place = copy(twin), twin.prepared.dataset, Path(mkdtemp(dir=folder()))
    with patch.object(shards, "SHARD_BYTES", 16):
        dataset = PreparedSets(place, 10**9).keep("5e" * 32, dataset)
    assert len(dataset.kept.manifest.checksums) > 10
    twin.prepared = replace(twin.prepared, dataset=dataset)
    return twin


def run_scenario(text):
    """Run a scenario and return it."""
    # In a cache all processes of the world would wait for one lock, of which the world knows nothing.
    with small_pieces(codec_of(text)), patch.dict(os.environ, {CACHE_GIB: "0"}):
        scenario = Scenario(text)
        scenario.run()
    return scenario
