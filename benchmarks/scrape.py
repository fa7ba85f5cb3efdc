"""The cost of a scrape with a hundred jobs of ten layers: its series, and the time of `/metrics` over HTTP.

The processor's time tells more than the clock's on a machine that does other things too; the one who asks is in it.
"""

import time
import urllib.request
from datetime import UTC, datetime

from comparison import Comparison, Measurement, Options, print_document

from raydient.server.jobs.records import Change, Job, JobEvent
from raydient.server.jobs.states import State
from raydient.server.metrics import Exporter, JobCollector
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Progress
from raydient.spec.job import JobSpec
from raydient.steps.measurements import STEP_SECONDS_BUCKETS, GradientHealth, LayerHealth, Measurements
from raydient.wire.terms import PHASES

JOBS, LAYERS = 100, 10
MOST_SERIES, MOST_MS = 20_000, 100.0
AS_PROMETHEUS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
NAME = f"{JOBS} jobs of {LAYERS} layers"


def fill(collector: JobCollector) -> None:
    """Jobs that have told everything that a job can tell."""
    now = datetime.now(UTC)
    layers = [{"dense": {"units": 8, "activation": "relu"}} for _ in range(LAYERS)]
    network = {"layers": layers, "loss": "softmax_cross_entropy"}
    spec = JobSpec.model_validate({"display_name": "digits", "dataset": {"uri": "digits.csv"}, "network": network})
    health = tuple(LayerHealth(f"dense_{n}", 0.0123456789 / n, 0.00123456789, 0, 0.125) for n in range(1, LAYERS + 1))
    progress = Progress(
        *(50, 1000, 3, 30, 6400, 12345.678, 2, 2),
        Measurements(
            loss=0.123456789,
            learning_rate=0.003,
            phase_seconds=dict.fromkeys((*PHASES, "apply"), 123.456789),
            step_seconds_buckets=tuple(range(0, 10 * (len(STEP_SECONDS_BUCKETS) + 1), 10)),
            step_seconds_sum=12.3456789,
            exchange_bytes={"push": 123456789, "pull": 123456789},
            gradient_health=GradientHealth(50, health),
        ),
        restarts={"worker": 1, "parameter_server": 0},
    )
    metrics = {split: {"loss": 0.123456789, "accuracy": 0.987654321} for split in ("train", "test")}
    reports = (progress, EpochEnded(3, 36, 0.123456789, metrics), CheckpointTaken(36, 0.0123456789, 123456))
    for number in range(JOBS):
        job = Job(f"{number:012x}", spec, now, state=State.RUNNING)
        collector.publish(Change(None, job, tuple(JobEvent(job.id, 1, now, report) for report in reports)))


def main() -> None:
    options = Options.parse(__doc__, 25)
    collector = JobCollector()
    fill(collector)
    exporter = Exporter("127.0.0.1", 0, collector)

    def scrape() -> Measurement:
        request = urllib.request.Request(f"http://127.0.0.1:{exporter.port}/metrics", headers=AS_PROMETHEUS)
        began, began_cpu = time.perf_counter(), time.process_time()
        with urllib.request.urlopen(request) as response:
            size = len(response.read())
        answer, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        return {"answer_ms": 1e3 * answer, "cpu_ms": 1e3 * cpu, "size_kib": size / 1024}

    comparison = Comparison(options, {NAME: scrape})
    try:
        comparison.run()
    finally:
        exporter.close()
    series = sum(len(family.samples) for family in collector.collect())
    kept = series <= MOST_SERIES and comparison.median(NAME, "answer_ms") <= MOST_MS
    print_document(
        comparison.document("scrape", series=series, at_most_series=MOST_SERIES, at_most_ms=MOST_MS, kept=kept)
    )


if __name__ == "__main__":
    main()
