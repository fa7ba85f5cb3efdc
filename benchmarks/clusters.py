"""The same job on Ray and on plain processes: Ray places the processes and must cost the steps nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory

from comparison import Comparison, Measurement, print_document, rounds_wanted
from workload import job, pace_of_training, write_data

RATE = "samples_per_second"


def pace_on(cluster: str, data: Path) -> Measurement:
    pace = pace_of_training(job(data, 2), data, cluster=cluster)
    return {RATE: pace.samples_per_second, "step_ms": pace.step_ms}


def main() -> None:
    rounds = rounds_wanted(__doc__, 5)
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        write_data(data)
        comparison = Comparison({"ray": lambda: pace_on("ray", data), "local": lambda: pace_on("local", data)})
        comparison.run(rounds)
    comparison.ratio(RATE, "ray", "local", at_least=0.95)
    print_document(comparison.document("clusters"))


if __name__ == "__main__":
    main()
