"""Training 784-512-512-10 with two workers: ours, PyTorch DDP over gloo, the parameter server of Ray's documentation.

Synchronous SGD, 128 samples per worker and step, processes of this machine, one thread each.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from comparison import Comparison, Measurement, Options, Peer, print_document, run_peer
from workload import EPOCHS, FEWEST_EPOCHS, ROWS_PER_WORKER, WORKERS, job, pace_of_training, write_data

OURS, OURS_DEFAULT, DDP, RAY = "raydient", "raydient, default microbatches", "PyTorch DDP", "Ray parameter server"
RATE = "samples_per_second"


def ours(data: Path, microbatches: int | None, epochs: int) -> Measurement:
    pace = pace_of_training(job(data, microbatches, epochs=epochs), data)
    return {RATE: pace.samples_per_second, "step_ms": pace.step_ms}


def theirs(script: str) -> Measurement:
    (measured,) = run_peer(script, "--batch", ROWS_PER_WORKER, "--workers", WORKERS)
    return {RATE: measured["samples_per_s"], "step_ms": measured["ms_per_step"]}


def main() -> None:
    options = Options.parse(__doc__, 5)
    epochs = options.size(EPOCHS, FEWEST_EPOCHS)
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        write_data(data)
        comparison = Comparison(
            options,
            {
                OURS: partial(ours, data, 2, epochs),
                DDP: Peer(partial(theirs, "ddp_gloo.py")),
                OURS_DEFAULT: partial(ours, data, None, epochs),
                RAY: Peer(partial(theirs, "ray_parameter_server.py")),
            },
        )
        comparison.run()
    comparison.ratio(RATE, OURS, DDP, at_least=1.4)
    comparison.ratio(RATE, OURS, RAY, at_least=4.0)
    comparison.ratio(RATE, OURS_DEFAULT, OURS)
    print_document(comparison.document("training"))


if __name__ == "__main__":
    main()
