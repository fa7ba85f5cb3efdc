"""Local steps on the digits: the payload that two workers exchange until the held-out accuracy is 97 %, and the losses.

The network of the example `digits`, batches of 32 in four microbatches, SGD at 0.1, over TCP. Each round has another
seed. With a momentum at the server the rate is that of the others times 1 - momentum. The payload up to an epoch is the
epoch's share of the job's; a job that does not reach the accuracy counts with all of it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from comparison import Comparison, Measurement, Options, print_document

from raydient.server.embedded import train
from raydient.server.training.reports import EpochEnded, Outcome, Progress, Report
from raydient.spec.job import JobSpec
from raydient.spec.validation import validate_job

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE, EPOCHS, ACCURACY = 0.1, 20, 0.97
MOMENTUM = 0.5
LOSS, BYTES, REACHED = "train_loss", "exchanged_mb", "exchanged_mb_to_97_percent"
STEPS = 1, 4, 16


def job(steps: int, momentum: float, seed: int, epochs: int) -> JobSpec:
    """Return the job of the example `digits` under local SGD."""
    spec = yaml.safe_load((EXAMPLES / "digits.yaml").read_text(encoding="utf-8"))
    spec["training"] = {
        "epochs": epochs,
        "batch_size": 32,
        "microbatches": 4,
        "seed": seed,
        "optimizer": {"sgd": {"learning_rate": RATE * (1 - momentum), "momentum": momentum}},
        "consistency": {"local": {"steps": steps}},
    }
    return validate_job(spec)


def learn(seeds: Iterator[int], *, steps: int, momentum: float, epochs: int) -> Measurement:
    """Train, and return the last losses and the megabytes that were exchanged, in all and up to the accuracy."""
    reports: list[Report] = []
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        spec, data = job(steps, momentum, next(seeds), epochs), EXAMPLES / "digits.csv"
        finished = train(spec, data, directory=Path(directory), report=reports.append, transport="tcp")
    if finished.outcome is not Outcome.SUCCEEDED:
        raise RuntimeError(f"training did not go through undisturbed: {finished.message}")
    ended = [report for report in reports if isinstance(report, EpochEnded)]
    last = [report for report in reports if isinstance(report, Progress)][-1]
    megabytes = sum(last.measurements.exchange_bytes.values()) / 1e6
    reached = next((r.epoch for r in ended if r.metrics["test"]["accuracy"] >= ACCURACY), epochs)
    return {
        REACHED: megabytes * reached / epochs,
        BYTES: megabytes,
        LOSS: ended[-1].metrics["train"]["loss"],
        "test_loss": ended[-1].metrics["test"]["loss"],
        "test_accuracy": ended[-1].metrics["test"]["accuracy"],
        "steps": finished.step,
    }


def main() -> None:
    options = Options.parse(__doc__, rounds=5)
    epochs = options.size(EPOCHS, 1)
    cases = [(f"{steps} steps", steps, 0.0) for steps in STEPS] + [("16 steps, momentum", 16, MOMENTUM)]
    cases = cases[-1:] if options.smallest else cases
    contenders: dict[str, Callable[[], Measurement]] = {
        name: partial(learn, iter(range(1, 1 + options.rounds)), steps=steps, momentum=momentum, epochs=epochs)
        for name, steps, momentum in cases
    }
    comparison = Comparison(options, contenders)
    comparison.run()
    for name, *_ in cases[1:]:
        for quantity in (REACHED, LOSS):
            comparison.ratio(quantity, name, cases[0][0])
    print_document(comparison.document("local_steps"))


if __name__ == "__main__":
    main()
