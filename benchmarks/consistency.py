"""One of four workers at a quarter of the speed: the time to 97 % accuracy on the digits under each consistency model.

The jobs and the workers are those of `examples/consistency/compare.py`, which runs once for each contender: a
microbatch takes 5 ms on a worker and 20 ms on the slow one, by sleeping. The time is counted from the first step to the
end of the first epoch with this accuracy on the held-out part. All rounds have the seed of the jobs: another one draws
another held-out part, of which 97 % may be out of reach. With equal shares the slow worker has a fourth of every batch;
otherwise shares follow the measured speed.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from comparison import Comparison, Measurement, Options, print_document

COMPARE = Path(__file__).parents[1] / "examples" / "consistency" / "compare.py"
EQUAL_SHARES = "synchronous, equal shares"
MODELS = (EQUAL_SHARES, "bounded_staleness", "asynchronous", "synchronous", "local")
SECONDS = "seconds_to_97_percent"
ACCURACY = 0.97


def learn(model: str, options: list[str], accuracy: float) -> Measurement:
    """Train with a slow worker. RuntimeError if the job does not reach the accuracy on the held-out part."""
    command = [sys.executable, str(COMPARE), model, "--slow", "--json", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    curve: dict[str, Any] = json.loads(done.stdout)
    reached = [place for place, value in enumerate(curve["accuracy"]) if value >= accuracy]
    if not reached:
        raise RuntimeError(f"{model} reaches an accuracy of {max(curve['accuracy']):.1%} only")
    return {
        SECONDS: curve["seconds"][reached[0]],
        "epochs_to_97_percent": reached[0] + 1,
        "epoch_seconds": curve["seconds"][-1] / len(curve["seconds"]),
        "mean_staleness_steps": curve["mean_staleness"],
        "last_test_accuracy": curve["accuracy"][-1],
    }


def main() -> None:
    options = Options.parse(__doc__, 5)
    models, accuracy, shorter = MODELS, ACCURACY, []
    if options.smallest:
        models, accuracy, shorter = MODELS[:2], 0.0, ["--epochs", "1", "--milliseconds", "0.1"]
    comparison = Comparison(options, {model: partial(learn, model, shorter, accuracy) for model in models})
    comparison.run()
    for model in MODELS[1:]:
        bound = {"at_most": 0.5} if model in ("bounded_staleness", "asynchronous") else {}
        comparison.ratio(SECONDS, model, EQUAL_SHARES, **bound)
    print_document(comparison.document("consistency"))


if __name__ == "__main__":
    main()
