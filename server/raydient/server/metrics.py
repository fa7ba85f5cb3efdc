"""What Prometheus sees: a collector over the jobs that live or ended lately, and how long calls took.

It hears of jobs by their events, so a scrape waits neither for the store nor for a cluster. A job's series vanish some
minutes after its end; no series bears the id of a worker.
"""

import platform
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, GCCollector, Histogram, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .errors import StartError
from .jobs.records import Change, Job, JobEvent
from .jobs.states import State
from .training.reports import STEP_SECONDS_BUCKETS, CheckpointTaken, EpochEnded, Progress

LINGER_SECONDS = 300.0
"""A job's series stay so long after its end, for the last scrapes to see it."""
POLL_SECONDS = 0.1
"""The exporter's thread notices so soon that it is to stop."""
RPC_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class _Series:
    """What is shown of one job.

    `steps` and `samples` only grow, although a job falls back to its checkpoint when a parameter server is lost.
    """

    running: bool = True
    ended: float | None = None
    progress: Progress | None = None
    progress_time: float = 0.0
    steps: int = 0
    samples: int = 0
    epoch: EpochEnded | None = None
    checkpoint: CheckpointTaken | None = None
    checkpoint_time: float = 0.0
    checkpoints: int = 0

    def take(self, event: JobEvent) -> None:
        match event.payload:
            case Progress() as progress:
                before = self.progress
                self.steps += max(0, progress.step - (before.step if before else 0))
                self.samples += max(0, progress.samples - (before.samples if before else 0))
                self.progress, self.progress_time = progress, event.time.timestamp()
            case EpochEnded() as epoch:
                self.epoch = epoch
            case CheckpointTaken() as checkpoint:
                self.checkpoint, self.checkpoint_time = checkpoint, event.time.timestamp()
                self.checkpoints += 1


class JobCollector(Collector):
    """Jobs as metrics. `publish` and `collect` may be called from any thread; neither blocks for long.

    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = dict.fromkeys(State, 0)
        self._jobs: dict[str, _Series] = {}
        self._lock = threading.Lock()

    def begin(self, jobs: Iterable[Job], counts: Mapping[State, int]) -> None:
        """With the jobs that have not ended, and how many there are in each state; before any change."""
        self._counts.update(counts)
        for job in jobs:
            self._jobs[job.id] = _Series(running=job.state.running, epoch=job.last_epoch, progress=job.progress)

    def publish(self, change: Change) -> None:
        """Take note of a change."""
        with self._lock:
            if change.before is not None:
                self._counts[change.before.state] -= 1
            if change.after is None:
                if change.before is not None:
                    self._jobs.pop(change.before.id, None)
                return
            state = change.after.state
            self._counts[state] += 1
            series = self._jobs.setdefault(change.after.id, _Series())
            series.running = state.running
            if state.terminal:
                series.ended = self._clock()
            for event in change.events:
                series.take(event)

    def collect(self) -> Iterator[Metric]:
        """All metrics of jobs; first forget those that ended long ago."""
        with self._lock:
            now = self._clock()
            for job, series in list(self._jobs.items()):
                if series.ended is not None and now - series.ended > LINGER_SECONDS:
                    del self._jobs[job]
            families = [*_of_service(self._counts), *_of_jobs(self._jobs)]
        yield from families


def _of_service(counts: Mapping[State, int]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("raydient_jobs", "Jobs in the store.", labels=["state"])
    for state, count in counts.items():
        jobs.add_metric([state.value], count)
    yield jobs
    yield GaugeMetricFamily("raydient_queue_length", "Jobs that wait for room.", value=counts[State.QUEUED])
    build = InfoMetricFamily("raydient_build", "Versions of what runs here.")
    build.add_metric([], {"version": version("raydient"), "python": platform.python_version()})
    yield build


def _of_jobs(jobs: Mapping[str, _Series]) -> Iterator[Metric]:
    going = {}
    for job, series in jobs.items():
        if series.progress is not None:
            going[job] = series, series.progress
    yield from _evaluations({job: series.epoch for job, series in jobs.items() if series.epoch is not None})
    yield from _gauges(going)
    yield from _counters(going)
    yield from _checkpoints({job: series for job, series in jobs.items() if series.checkpoint is not None})


def _evaluations(epochs: Mapping[str, EpochEnded]) -> Iterator[Metric]:
    loss = GaugeMetricFamily("raydient_job_loss", "Loss over the last epoch.", labels=["job", "split"])
    other = GaugeMetricFamily("raydient_job_metric", "Other results of it.", labels=["job", "split", "name"])
    seconds = GaugeMetricFamily("raydient_job_epoch_seconds", "Wall time of the last epoch.", labels=["job"])
    for job, epoch in epochs.items():
        seconds.add_metric([job], epoch.seconds)
        for split, values in epoch.metrics.items():
            for name, value in values.items():
                if name == "loss":
                    loss.add_metric([job, split], value)
                else:
                    other.add_metric([job, split, name], value)
    yield from (loss, other, seconds)


_Going = Mapping[str, tuple[_Series, Progress]]


def _gauges(jobs: _Going) -> Iterator[Metric]:
    plain: dict[str, tuple[str, Callable[[_Series, Progress], float]]] = {
        "step_loss": ("Loss of the last step, training part.", lambda s, p: p.loss),
        "learning_rate": ("Of the last update.", lambda s, p: p.learning_rate),
        "epochs": ("Epochs completed.", lambda s, p: p.epoch),
        "progress_ratio": ("Share of the steps that are done.", lambda s, p: p.step / p.steps if p.steps else 0.0),
        "progress_timestamp_seconds": ("When it was heard of last.", lambda s, p: s.progress_time),
    }
    for name, (text, value) in plain.items():
        family = GaugeMetricFamily(f"raydient_job_{name}", text, labels=["job"])
        for job, (series, progress) in jobs.items():
            family.add_metric([job], value(series, progress))
        yield family
    workers = GaugeMetricFamily("raydient_job_workers", "Worker processes.", labels=["job", "state"])
    for job, (series, progress) in jobs.items():
        workers.add_metric([job, "alive"], progress.workers_alive if series.running else 0)
        workers.add_metric([job, "wanted"], progress.workers_wanted if series.running else 0)
    yield workers


def _counters(jobs: _Going) -> Iterator[Metric]:
    steps = CounterMetricFamily("raydient_job_steps", "Updates, repeated ones included.", labels=["job"])
    samples = CounterMetricFamily("raydient_job_samples", "Training samples, likewise.", labels=["job"])
    seconds = HistogramMetricFamily("raydient_job_step_seconds", "Time of a step.", labels=["job"])
    for job, (series, progress) in jobs.items():
        steps.add_metric([job], series.steps)
        samples.add_metric([job], series.samples)
        if len(progress.step_seconds_buckets) == len(STEP_SECONDS_BUCKETS) + 1:
            bounds = [*map(str, STEP_SECONDS_BUCKETS), "+Inf"]
            buckets = list(zip(bounds, progress.step_seconds_buckets, strict=True))
            seconds.add_metric([job], buckets, progress.step_seconds_sum)
    yield from (steps, samples, seconds)
    labelled: dict[str, tuple[str, str, Callable[[Progress], Mapping[str, float]]]] = {
        "raydient_job_phase_seconds": ("phase", "Time spent, over all workers.", lambda p: p.phase_seconds),
        "raydient_job_restarts": ("role", "Members replaced.", lambda p: p.restarts),
        "raydient_exchange_bytes": ("direction", "Payload of the data plane.", lambda p: p.exchange_bytes),
    }
    for name, (label, text, values) in labelled.items():
        family = CounterMetricFamily(name, text, labels=["job", label])
        for job, (_, progress) in jobs.items():
            for key, value in values(progress).items():
                family.add_metric([job, key], value)
        yield family


def _checkpoints(jobs: Mapping[str, _Series]) -> Iterator[Metric]:
    taken = CounterMetricFamily("raydient_job_checkpoints", "Checkpoints taken.", labels=["job"])
    step = GaugeMetricFamily("raydient_job_checkpoint_step", "Step of the newest checkpoint.", labels=["job"])
    seconds = GaugeMetricFamily("raydient_job_checkpoint_seconds", "Time to write it.", labels=["job"])
    size = GaugeMetricFamily("raydient_job_checkpoint_size_bytes", "Its size on disk.", labels=["job"])
    when = GaugeMetricFamily("raydient_job_checkpoint_timestamp_seconds", "When it was taken.", labels=["job"])
    for job, series in jobs.items():
        assert series.checkpoint is not None
        taken.add_metric([job], series.checkpoints)
        step.add_metric([job], series.checkpoint.step)
        seconds.add_metric([job], series.checkpoint.seconds)
        size.add_metric([job], series.checkpoint.size_bytes)
        when.add_metric([job], series.checkpoint_time)
    yield from (taken, step, seconds, size, when)


class _Server(ThreadingMixIn, WSGIServer):
    """A slow scrape holds up neither another one nor the end."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Without the base class's question to the DNS, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    """Writes no log of scrapes."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is the base class's)
        """Nothing."""


class Exporter:
    """Serves `/metrics` from a registry of its own, on a thread of its own, until `close`."""

    def __init__(self, host: str, port: int, collector: JobCollector) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._rpc = Histogram(
            "raydient_rpc_seconds",
            "Time to answer a call.",
            ["method", "code"],
            registry=registry,
            buckets=RPC_SECONDS_BUCKETS,
        )
        try:
            self._server = make_server(host, port, make_wsgi_app(registry), _Server, _Handler)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StartError(f"cannot serve metrics on {host}:{port}: {reason}") from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), name="metrics")
        self._thread.start()

    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """A call was answered."""
        self._rpc.labels(method, code).observe(seconds)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
