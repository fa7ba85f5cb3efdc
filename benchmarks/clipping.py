"""Cost of clipping by the global norm: steps of 784-128-128-10 with two parameter servers, with it and without.

Two workers and two parameter servers on one machine, SGD, 128 samples for each worker. The limit is below every norm,
so that each step is clipped. A clipped step passes over the gradient twice, with messages between the servers.
"""

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from comparison import Comparison, Measurement, Options, print_document, rounded
from workload import EPOCHS, FEWEST_EPOCHS, job, pace_of_training, write_data

from raydient.spec.job import JobSpec
from raydient.spec.network import Network
from raydient.spec.training import Training

UNITS, SERVERS = 128, 2
LIMIT = 1e-3
MOST_PERCENT = 8.0
WITHOUT, BY_NORM, BY_VALUE = "not clipped", "clipped by global norm", "clipped by value"
KINDS = {BY_NORM: "global_norm", BY_VALUE: "values"}


def clipped_job(data: Path, name: str, epochs: int) -> JobSpec:
    spec = job(data, None, epochs=epochs)
    hidden = {"dense": {"units": UNITS, "activation": "relu"}}
    layers = [hidden, hidden, {"dense": {"units": 10}}]
    network = Network.model_validate({"layers": layers, "loss": "softmax_cross_entropy"})
    clipping = {KINDS[name]: {"limit": LIMIT}} if name in KINDS else None
    training = Training.model_validate(spec.training.canonical() | {"clipping": clipping})
    resources = spec.resources.model_copy(update={"parameter_servers": SERVERS})
    return spec.model_copy(update={"network": network, "training": training, "resources": resources})


def step(data: Path, name: str, epochs: int) -> Measurement:
    pace = pace_of_training(clipped_job(data, name, epochs), data)
    return {"step_ms": pace.step_ms, "apply_ms": pace.phases_ms["apply"]}


def main() -> None:
    options = Options.parse(__doc__, 7)
    epochs = options.size(EPOCHS, FEWEST_EPOCHS)
    with TemporaryDirectory(prefix="raydient-benchmark-") as folder:
        data = Path(folder) / "data.npz"
        write_data(data)
        names = (WITHOUT, BY_NORM, BY_VALUE)
        comparison = Comparison(options, {name: partial(step, data, name, epochs) for name in names})
        comparison.run()
    without, clipped = (comparison.median(name, "step_ms") for name in (WITHOUT, BY_NORM))
    comparison.ratio("step_ms", BY_NORM, WITHOUT)
    comparison.ratio("step_ms", BY_VALUE, WITHOUT)
    percent = 100 * (clipped - without) / without
    print_document(
        comparison.document(
            "clipping",
            cores=len(os.sched_getaffinity(0)),
            percent_of_a_step=rounded(percent),
            at_most_percent=MOST_PERCENT,
            kept=percent <= MOST_PERCENT,
        )
    )


if __name__ == "__main__":
    main()
