"""The same job on Ray and on plain processes: Ray places the processes and must cost the steps nothing."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from comparison import Comparison, Measurement, Options, print_document
from workload import EPOCHS, FEWEST_EPOCHS, job, pace_of_training, write_data

RATE = "samples_per_second"


def pace_on(cluster: str, data: Path, epochs: int) -> Measurement:
    pace = pace_of_training(job(data, 2, epochs=epochs), data, cluster=cluster)
    return {RATE: pace.samples_per_second, "step_ms": pace.step_ms}


def main() -> None:
    options = Options.parse(__doc__, 5)
    epochs = options.size(EPOCHS, FEWEST_EPOCHS)
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        write_data(data)
        comparison = Comparison(options, {c: partial(pace_on, c, data, epochs) for c in ("ray", "local")})
        comparison.run()
    comparison.ratio(RATE, "ray", "local", at_least=0.95)
    print_document(comparison.document("clusters"))


if __name__ == "__main__":
    main()
