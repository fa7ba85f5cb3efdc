"""Training 784-512-512-10 with two workers: ours, PyTorch DDP over gloo, the parameter server of Ray's documentation.

Synchronous SGD, 128 samples per worker and step, processes of this machine, one thread each.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from comparison import Comparison, Measurement, print_document, rounds_wanted, run_peer
from workload import ROWS_PER_WORKER, WORKERS, job, pace_of_training, write_data

OURS, OURS_DEFAULT, DDP, RAY = "raydient", "raydient, default microbatches", "PyTorch DDP", "Ray parameter server"
RATE = "samples_per_second"


def ours(data: Path, microbatches: int | None) -> Measurement:
    pace = pace_of_training(job(data, microbatches), data)
    return {RATE: pace.samples_per_second, "step_ms": pace.step_ms}


def theirs(script: str) -> Measurement:
    (measured,) = run_peer(script, "--batch", ROWS_PER_WORKER, "--workers", WORKERS)
    return {RATE: measured["samples_per_s"], "step_ms": measured["ms_per_step"]}


def main() -> None:
    rounds = rounds_wanted(__doc__, 5)
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        write_data(data)
        comparison = Comparison(
            {
                OURS: lambda: ours(data, 2),
                DDP: lambda: theirs("ddp_gloo.py"),
                OURS_DEFAULT: lambda: ours(data, None),
                RAY: lambda: theirs("ray_parameter_server.py"),
            }
        )
        comparison.run(rounds)
    comparison.ratio(RATE, OURS, DDP, at_least=1.4)
    comparison.ratio(RATE, OURS, RAY, at_least=4.0)
    comparison.ratio(RATE, OURS_DEFAULT, OURS)
    print_document(comparison.document("training"))


if __name__ == "__main__":
    main()
