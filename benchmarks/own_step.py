"""Training steps of a model in a process of its own, whose environment selects the code of NumPy and OpenBLAS.

`python own_step.py MODEL STEPS` prints a measurement as JSON.
"""

import json
import sys

from network import MODELS
from one_core import stay_on_one_core, training_step
from threadpoolctl import threadpool_limits

from raydient.spec.network import Network as NetworkSpec
from raydient.workers.network import build

ELU = [{"dense": {"units": 512, "activation": "elu"}}] * 2
BATCHES = {"mlp": 128, "mlp_elu": 128, "cnn": 64}
WARM_UP_STEPS = 5


def main(model: str, steps: int) -> None:
    layers, shape = MODELS.get(model, (ELU, MODELS["mlp"][1]))
    description = {"layers": [*layers, {"dense": {"units": 10}}], "loss": "softmax_cross_entropy"}
    network = build(NetworkSpec.model_validate(description), shape)
    stay_on_one_core()
    with threadpool_limits(1):
        measured = training_step(network, BATCHES[model], steps, min(WARM_UP_STEPS, steps))
    print(json.dumps(measured))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
