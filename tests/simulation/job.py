"""A job in a simulated world: its processes, and an operator that starts the coordinator until the job is done."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from raydient.server.parameters.shell import ParameterServerShell
from raydient.server.training.history import HISTORY_FILE, History
from raydient.server.training.members import Members
from raydient.server.training.reports import Amended, EpochEnded, Finished, Outcome, Progress
from raydient.server.training.shell import CoordinatorShell
from raydient.server.training.storage import Storage
from raydient.steps.amendments import Amendment
from raydient.wire import control
from raydient.wire.control import Role
from raydient.wire.launch import from_json
from raydient.wire.lifeline import PARTING_SECONDS, answer_pings
from raydient.workers.worker import work

from .invariants import JOB, Invariants
from .stale_invariants import StaleInvariants
from .storage import JobDisk
from .world import World

DIRECTORY = Path("/job")
COORDINATORS = 40
"""Coordinators that an operator starts, at most."""


class Cluster:
    """Starts members as processes of a world; satisfies `clusters.cluster.Cluster`."""

    host = node = ""

    def __init__(self, world, starts, late_seconds, paces):
        self._world, self._starts, self._late, self._paces = world, starts, late_seconds, paces

    def reserve(self, job, workers, placement):
        pass

    def release(self):
        pass

    def start(self, role, launch, log, *, portable=False):
        world, settings = self._world, from_json(launch)
        name = self._starts(role, settings)
        late = world.random.uniform(0, self._late)

        def serve(network):
            # Another run has another secret, so its addresses are others.
            ParameterServerShell(settings, network, settings.coordinator.unix.removeprefix("@")).run()

        def compute(network):
            work(settings, network, "", part=1)  # the networks are small

        def answer(network):
            try:
                connection = network.dial(settings.coordinator)
                control.send(connection, control.Alive(settings.member))
                answer_pings(connection)
            finally:
                world.after_seconds(PARTING_SECONDS, process.end)

        process = world.start(name, serve if role is Role.PARAMETER_SERVER else compute, late)
        process.pace = world.random.choice(self._paces)
        process.siblings.append(world.start(f"{name} lifeline", answer, late))
        return process


class Job:
    """A job and its world.

    Attributes:
        disk: the disk of the coordinators.
        reports: of all coordinators, in order.
        orders: for the coordinator that runs.
        amendments: all that the service has accepted, with the rounds that were reported.
        finished: the last report of the job; None while it runs.
    """

    def __init__(self, seed, twin, *, workers=3, late_seconds=0.0, paces=(0.0,), **world):
        self.world, self.twin = World(seed, **world), twin
        self.reports, self.orders, self.amendments, self.finished = [], [], [], None
        self.disk = JobDisk(self.world, DIRECTORY)
        is_stale = twin.prepared.spec.training.consistency.is_stale
        self.invariants = (StaleInvariants if is_stale else Invariants)(self.world, twin, self.disk, DIRECTORY)
        self._workers, self._started, self._coordinators = workers, {}, 0
        self._cluster = Cluster(self.world, self._name, late_seconds, paces)

    def run(self, limit=200_000):
        """Run the job to its end, and check its files. Raises AssertionError if an invariant is broken."""
        world = self.world
        with self.twin.verdict(lambda: self.invariants.decides(self.world.current().name)):
            self._run(world, limit)
        self.invariants.end()

    def _run(self, world, limit):
        while self.finished is None:
            assert self._coordinators < COORDINATORS, "the job does not end"
            self._coordinators += 1
            self.disk.kill()  # a file that the coordinator before held open is of no use to it any more
            self.disk.user = world.start("coordinator", self._coordinate)
            world.run(self.disk.user, limit)
            self.invariants.check_disk()
            pause, over = world.now + world.random.uniform(0, 2), []
            world.at(pause, lambda over=over: over.append(True))
            while not over:
                world.turn(limit)

    def amend(self, settings):
        """Accept an amendment, as the service does, and send it to the coordinator."""
        self.amendments.append(Amendment(len(self.amendments) + 1, settings, step=self._reported()))
        self.orders.append(control.Amend(self.amendments[-1]))

    def _reported(self):
        """Return the highest step whose results were reported."""
        return max((report.step for report in self.reports if isinstance(report, Progress | EpochEnded)), default=0)

    def close(self):
        """End all processes."""
        self.world.close()

    def _name(self, role, settings):
        number = self._started[role] = self._started.get(role, -1) + 1
        name = f"{'server' if role is Role.PARAMETER_SERVER else 'worker'} {number}"
        self.invariants.begins(name, self._coordinators)
        return name

    def _coordinate(self, network):
        with closing(History(DIRECTORY / HISTORY_FILE, disk=self.disk)) as history:
            endpoint = network.listen("", unix=f"@coordinator {self._coordinators}")
            members = Members(self._cluster, network, endpoint, job=JOB, secret=b"s" * 32, logs=DIRECTORY / "logs")
            storage = Storage(self.twin.prepared, DIRECTORY, JOB, history, disk=self.disk)
            size, self.orders = control.Scale(self._workers, 1), []
            CoordinatorShell(
                self.twin.prepared,
                size,
                members,
                storage,
                tell=self._report,
                amendments=[
                    one if one.round is not None else replace(one, step=self._reported()) for one in self.amendments
                ],
                orders=self.orders,
            ).run()

    def _report(self, report):
        self.reports.append(report)
        if not isinstance(report, Progress):
            self.world.note("coordinator", f"reports {report}")
        self.invariants.report(report)
        if isinstance(report, Amended):
            self.amendments[report.amendment.number - 1] = report.amendment
        if isinstance(report, Finished) and report.outcome is Outcome.SUCCEEDED:
            self.finished = report
