"""Training without a service: a coordinator in this process, its members on this machine or on Ray."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, redirect_stdout
from pathlib import Path

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.patterns import DataPath
from raydient.wire import control
from raydient.wire.endpoint import Transport
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Hub
from raydient.workers.data.limits import machine_bytes
from raydient.workers.portable import portable

from .clusters.opening import open_cluster
from .training.history import HISTORY_FILE, History
from .training.initial_weights import KEPT_FILE
from .training.members import Members
from .training.preparation import Prepared, prepare
from .training.reports import EpochEnded, Finished, Report, WentBack
from .training.shell import MESSAGE_LIMIT, CoordinatorShell
from .training.storage import Storage

EPOCHS_TOGETHER = 256
"""Number of epochs read from the history at a time."""


def train(
    spec: JobSpec,
    dataset: DataPath,
    *,
    validation: DataPath | None = None,
    directory: Path,
    report: Callable[[Report], None],
    transport: str = "auto",
    cluster: str = "local",
    ray_address: str | None = None,
    files: Path | None = None,
    orders: list[control.RunOrder] | None = None,
    begin: Callable[[Prepared], None] = lambda prepared: None,
    sha256: Mapping[str, str] | None = None,
) -> Finished:
    """Train a job to its end and return its last report; the model is then `directory`/model.safetensors.

    Args:
        spec: the specification.
        dataset: the data files for `spec.dataset.uri`.
        validation: those for `spec.dataset.validation.uri`, if there are any.
        directory: folder for checkpoints, logs and the model; if it holds a checkpoint, training goes on from it.
        report: receives every report, on this thread.
        transport: see `Transport`.
        cluster: kind of cluster, `local` or `ray`.
        files: base of a relative path in `training.initial_weights`; the working directory if None.
        ray_address: a running Ray to join; None starts one, if `cluster` is `ray`.
        orders: a queue of commands, such as `PAUSE`; a signal handler may append to it.
        begin: is called with the prepared job before anything is started.
        sha256: that of data files by the path of their setting, which the model records.

    Raises:
        InvalidSpec: before anything is started or written, except the folder itself.
        ClusterError: the cluster cannot be opened.
        KeyboardInterrupt: on Ctrl-C, after all processes have ended.
    """
    is_portable = spec.training.numerics.is_portable
    if is_portable and not portable():
        text = "portable has to be chosen before NumPy is loaded: train with `raydient train` or a service"
        raise InvalidSpec([FieldError("training.numerics", text)])
    directory.mkdir(parents=True, exist_ok=True)
    memory = None if ray_address else machine_bytes()
    prepared = prepare(
        spec,
        dataset,
        validation=validation,
        files=files or Path(),
        kept=directory / KEPT_FILE,
        memory_bytes=memory,
        folder=directory,
    )
    begin(prepared)
    range_, link = spec.resources.workers, Transport(transport)
    workers = min(max(range_.min, os.cpu_count() or 1), range_.max)
    secret = new_secret()
    with (
        redirect_stdout(sys.stderr),  # Ray writes messages to standard output, which is for results
        closing(open_cluster(cluster, slots=workers, address=ray_address)) as place,
        closing(Hub(secret, MESSAGE_LIMIT)) as network,
        closing(History(directory / HISTORY_FILE)) as history,
    ):
        endpoint = network.listen(place.host, node=place.node)
        members = Members(
            place,
            network,
            endpoint,
            job=directory.name,
            secret=secret,
            logs=directory / "logs",
            transport=link,
            portable=is_portable,
        )
        storage = Storage(prepared, directory, directory.name, history, data=sha256)
        reports, size = _Reports(history, report), control.Scale(workers, range_.min)
        CoordinatorShell(prepared, size, members, storage, tell=reports.add, orders=orders).run()
    assert isinstance(reports.last, Finished), "a run ends with Finished"
    return reports.last


class _Reports:
    """Passes the reports of a run to `report`; epochs are read from the history, those of earlier runs first."""

    def __init__(self, history: History, report: Callable[[Report], None]) -> None:
        self._history = history
        self._report = report
        self._epoch = 0  # the last epoch that was passed on
        self.last: Report | None = None

    def add(self, news: Report) -> None:
        """Pass on the new epochs of the history, then `news` unless it is an epoch."""
        if isinstance(news, WentBack):
            self._epoch = min(self._epoch, news.epoch)
        while epochs := self._history.read(self._epoch, EPOCHS_TOGETHER):
            self._epoch = epochs[-1].epoch
            for epoch in epochs:
                self._report(epoch)
        self.last = news
        if not isinstance(news, EpochEnded):
            self._report(news)
