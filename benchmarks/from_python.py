"""Seconds of `raydient.client.train` in a fresh process, from the call to its result, on a table as large as iris."""

import json
import subprocess
import sys

from comparison import Comparison, Measurement, Options, print_document

TARGET_SECONDS = 1.5
SCRIPT = """
import json, random, time
random.seed(1)
table = {name: [] for name in ("sepal_length", "sepal_width", "petal_length", "petal_width", "species")}
for row in range(150):
    kind = row % 3
    for place, name in enumerate(table):
        table[name].append(f"species {kind}" if name == "species" else random.gauss(1 + kind * place, 0.5))
job = {
    "dataset": {"label": "species", "split": {"test": 0.2}, "standardize": True},
    "network": {
        "layers": [{"dense": {"units": 16, "activation": "relu"}}, {"dense": {"units": 3}}],
        "loss": "softmax_cross_entropy",
    },
    "training": {"epochs": EPOCHS, "batch_size": 16, "optimizer": {"adam": {"learning_rate": 0.01}}},
}
from raydient.client import train
began = time.perf_counter()
result = train(job, table, progress=False)
seconds = time.perf_counter() - began
began = time.perf_counter()
train(job, table, progress=False)
print(json.dumps({"first_seconds": seconds, "second_seconds": time.perf_counter() - began,
                  "accuracy": result.history.curve("accuracy", "test")[1][-1]}))
"""


def main() -> None:
    options = Options.parse(__doc__, 9)
    script = SCRIPT.replace("EPOCHS", str(options.size(50, 2)))

    def run() -> Measurement:
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
        measured: Measurement = json.loads(done.stdout)
        return measured

    comparison = Comparison(options, {"train": run})
    comparison.run()
    seconds = comparison.median("train", "first_seconds")
    print_document(comparison.document("from_python", target_seconds=TARGET_SECONDS, kept=seconds <= TARGET_SECONDS))


if __name__ == "__main__":
    main()
