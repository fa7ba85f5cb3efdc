"""The promises of a job, checked on every frame that arrives, on every report and on the files."""

import json
import os
from contextlib import closing

import numpy as np
from safetensors.numpy import load

from raydient.server.training.checkpoint_files import OPTIMIZER, WEIGHTS, good_manifests, named, read_verified
from raydient.server.training.history import HISTORY_FILE, History
from raydient.server.training.initial_weights import MODEL_FILE
from raydient.server.training.reports import (
    Amended,
    CheckpointTaken,
    EpochEnded,
    Finished,
    Notice,
    Outcome,
    Progress,
    Started,
)
from raydient.steps.gradient import GradientLayout, between
from raydient.wire.frames import Kind
from raydient.wire.memory import Bundle, Place, Segment

from .leaves import Leaves

JOB = "test"
LOSSES = {"WORKER_LOST", "PARAMETER_SERVER_LOST"}
"""Reasons of notices about lost members; a job may fail for them when it loses more processes than it tolerates."""


def message_of(frame):
    """Return the type and the fields of a message, without the copy that `control.decode` makes."""
    return json.loads(bytes(memoryview(frame.payload)[: frame.header.first]))


class Invariants:
    """Raises AssertionError at the first event that breaks a promise.

    - Frames of a connection are of one generation, that of the server; each shard of a generation is served once.
    - Weights that travel, rows of tables among them, and weights of snapshots, are those after exactly one number of
      steps.
    - The sums of a push are those at the weights of its step: a worker does not compute on half a step.
    - An epoch counts each row once; its metrics are the same however often it is computed.
    - A reported checkpoint and the epochs before it are durable, and no later run begins before it.
    - The digest is that of the naive loop.
    - An amendment takes effect at one round, however often that round is computed, and the last checkpoint has all that
      are in force. Servers whose coordinator has ended may decide it for another round, and nothing of that is
      reported: they go astray, and their values are not checked from then on.
    - No member is reported lost before the first fault, and none is replaced.
    - See `Leaves` for leaves, plans and the weights in shared memory.

    Attributes:
        generations: number of the coordinator and generation of each member, by name; -1 until it has a part.
        undisturbed: no fault has met the job yet.
    """

    def __init__(self, world, twin, disk, directory):
        self.generations, self.undisturbed = {}, True
        self._world, self._twin = world, twin
        self._disk, self._directory = disk, directory
        self._shards, self._durable, self._epochs = {}, 0, {}
        self._served, self._rounds, self._parts = 0, {}, set()
        self._astray = set()  # numbers of the coordinators whose members have gone astray
        self._spoken = {}  # generation of a connection to a server, by its ends
        self._sums = 8 * twin.prepared.network.sums
        self._tables, self._pulled = GradientLayout.of(twin.prepared.network.layout).tables, {}
        self._leaves = Leaves(twin, self._is_astray)
        world.observers.append(self.look)
        world.after.append(self._leaves.check_weights)

    def begins(self, member, coordinator):
        """Note a member that is started."""
        self.generations[member] = coordinator, -1

    def decides(self, server):
        """Note that a server decides the round of an amendment; return True if the decision counts."""
        coordinator, newest = self.generations[server][0], self._newest
        self._astray |= set(range(newest)) if coordinator == newest else {coordinator}
        return coordinator == newest

    def look(self, end, frame):
        """Check a frame that arrives from this end of a connection."""
        sender, receiver, header = end.owner.name, end.peer.owner.name, frame.header
        if header.kind is Kind.CONTROL:
            message = message_of(frame)
            if message["type"] not in ("Ping", "Pong"):
                self._world.note(receiver, f"gets {message['type']} from {sender}")
            self._leaves.hear(end, message)
            check = getattr(self, f"_check_{message['type'].lower()}", None)
            if check is not None:
                check(sender, receiver, frame, message)
            return
        work = f"{header.round} [{header.first}, {header.last})"
        self._world.note(receiver, f"gets {header.kind.name} {work} from {sender}")
        if end not in self._spoken:
            self._spoken[end] = self._spoken[end.peer] = header.generation
        assert header.generation == self._spoken[end], "frames cross generations"
        self._leaves.look(end, frame)
        if header.kind is Kind.PULL:
            self._pulled[sender, receiver] = np.frombuffer(frame.payload, "<i4")[1:]
        elif self._is_astray(sender):
            return
        elif header.kind is Kind.WEIGHTS:
            weights = np.frombuffer(self._twin.weights[header.round], "<f4")
            expected = b"".join(weights[where].tobytes() for where in between(self._tables, *self._shards[sender]))
            assert bytes(frame.payload) == expected, "weights of no step"
        elif header.kind is Kind.ROWS:
            (table,), (begin, _) = self._tables, self._shards[sender]
            rows = table.values(np.frombuffer(self._twin.weights[header.round], "<f4"))
            first = (max(begin, table.offset) - table.offset) // table.width
            assert bytes(frame.payload) == rows[first + self._pulled[receiver, sender]].tobytes(), "rows of no step"
        elif header.kind is Kind.PUSH:
            sums = self._twin.node(header.round, header.first, header.last)
            assert bytes(memoryview(frame.payload)[: self._sums]) == sums, "a worker computes on weights of no step"

    def report(self, report):
        """Check a report of the coordinator."""
        match report:
            case CheckpointTaken(step=step):
                self._durable = max(self._durable, step)
                self.check_disk()
            case Started(step=step):
                assert step >= self._durable, f"begins at step {step}, but {self._durable} steps were durable"
                assert step == self._served, f"begins at step {step}, but the weights of step {self._served} are served"
            case EpochEnded(epoch=epoch):
                self._check_epoch(epoch, report.metrics)
                schedule = self._twin.schedule
                assert report.step == min(epoch * schedule.steps_per_epoch, schedule.steps)
            case Amended(amendment):
                rounds = self._rounds.setdefault(amendment.number, amendment.round)
                assert rounds == amendment.round, "an amendment takes effect at two rounds"
            case Progress(refused=refused) if self.undisturbed:
                assert not any(refused.values()), f"connections are refused without a fault: {refused}"
            case Notice(reason=reason) if reason in LOSSES:
                assert not self.undisturbed, f"a member is lost without a fault: {report.message}"
            case Finished(outcome=Outcome.FAILED):
                assert report.reason in LOSSES, report
            case Finished(outcome=Outcome.PAUSED, step=step):
                # A checkpoint may be durable without a report, if its coordinator was killed before it.
                disk = self._disk.after_power_loss()
                durable = max((there for there, _ in named(self._directory / "checkpoints", disk)), default=0)
                assert step <= durable, f"pauses at step {step}, but {durable} steps are durable"
            case Finished(outcome=Outcome.SUCCEEDED):
                self._check_digest(report.digest)
                assert report.step == self._twin.schedule.steps
                assert list(self.last_manifest().amendments) == self._twin.amendments, "a checkpoint lacks an amendment"

    def _check_digest(self, digest):
        assert digest == self._twin.digest, "other bits than the naive loop"

    def last_manifest(self):
        """Return the manifest of the newest checkpoint that would remain if the power were lost now."""
        return next(good_manifests(self._directory / "checkpoints", JOB, self._disk.after_power_loss()))[1]

    def history(self, disk=None):
        """Return the epochs of the record that would remain if the power were lost now."""
        disk = self._disk.after_power_loss() if disk is None else disk
        with closing(History(self._directory / HISTORY_FILE, disk=disk)) as history:
            return history.read(0, history.last)

    def check_disk(self):
        """Check the files that would remain if the power were lost now; returns the disk with them."""
        disk, folder = self._disk.after_power_loss(), self._directory / "checkpoints"
        good = list(good_manifests(folder, JOB, disk))
        steps = [manifest.step for _, manifest, _ in good]
        assert steps == list(dict.fromkeys(step for step, _ in named(folder, disk))), "a checkpoint is not whole"
        assert max(steps, default=0) >= self._durable, f"step {self._durable} is reported, {steps} are durable"
        for path, manifest, sums in good:
            read_verified(path, OPTIMIZER, sums[OPTIMIZER], 1 << 20, disk)
            weights = read_verified(path, WEIGHTS, sums[WEIGHTS], 1 << 20, disk)
            self._same_weights(weights, manifest.step, "a checkpoint of no step")
        epochs = self.history(disk)
        done = max((manifest.epoch for _, manifest, _ in good), default=0)
        assert [epoch.epoch for epoch in epochs][:done] == list(range(1, done + 1)), f"record of epochs {epochs}"
        for epoch in epochs:
            self._check_epoch(epoch.epoch, epoch.metrics)
        return disk

    def _check_epoch(self, epoch, metrics):
        assert self._epochs.setdefault(epoch, metrics) == metrics, "an epoch has two results"

    def end(self):
        """Check the files of a job that is done."""
        assert self._durable == self._twin.schedule.steps
        with self.check_disk().open_plain(self._directory / MODEL_FILE) as model:
            self._same_weights(model.read(), self._durable, "another model")

    def _same_weights(self, file, step, problem):
        weights = np.frombuffer(self._twin.weights[step], np.float32)
        tensors, views = load(file), self._twin.prepared.network.layout.views(weights)
        assert {n: t.tobytes() for n, t in tensors.items()} == {n: v.tobytes() for n, v in views.items()}, problem

    # ---- messages

    def _check_serve(self, sender, receiver, frame, message):
        body = message["body"]
        part = self._begin(receiver, body["generation"])
        assert (*part, body["shard"]) not in self._parts, "two generations have one number"
        self._parts.add((*part, body["shard"]))
        self._shards[receiver] = body["ranges"][body["shard"]]
        if self._is_served_by_the_newest(receiver):
            assert body["step"] >= self._durable, "a durable step is lost"
            self._served = body["step"]
        self._weights(receiver, frame, message, "the coordinator serves weights of no step")

    def _check_work(self, sender, receiver, frame, message):
        self._begin(receiver, message["body"]["generation"])

    def _check_snapshot(self, sender, receiver, frame, message):
        self._weights(sender, frame, message, "a snapshot of no step")

    _check_snapshotpart = _check_snapshot

    def _check_epochsdone(self, sender, receiver, frame, message):
        for epoch in message["body"]["epochs"]:
            for part, sums in self._twin.epochs[epoch["epoch"]].items():
                assert epoch[part] == sums, f"{epoch[part][0]:.0f} rows of the {part} part count, the sums are others"

    @property
    def _newest(self):
        """The number of the last coordinator that has had members."""
        return max(number for number, _ in self.generations.values())

    def _is_served_by_the_newest(self, member):
        """Return False if a partition has held a message until the coordinator was dead and the next had members."""
        return self.generations[member][0] == self._newest

    def _is_astray(self, member):
        return member in self.generations and self.generations[member][0] in self._astray

    def _begin(self, member, generation):
        """Note that a member begins its part in a generation; return the number of its coordinator too."""
        coordinator, before = self.generations[member]
        assert generation > before, "an earlier generation begins again"
        self.generations[member] = coordinator, generation
        return coordinator, generation

    def _weights(self, server, frame, message, problem):
        if self._is_astray(server):
            return
        if frame.descriptors:
            segment = Segment(os.dup(frame.descriptors[0]), message["size"])
        else:
            segment = Segment.create(message["size"])
            segment.buffer[:] = memoryview(frame.payload)[frame.header.first :]
        places = {name: Place(**place) for name, place in message["places"].items()}
        begin, end = self._shards[server]
        step = self._twin.weights[message["body"]["step"]]
        assert Bundle(segment, places).arrays["weights"].tobytes() == step[4 * begin : 4 * end], problem
