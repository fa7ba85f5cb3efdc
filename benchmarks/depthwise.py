"""Depthwise and pointwise convolutions on one core against PyTorch eager: training steps with SGD, and predictions, of
batches of 32.

`depthwise` is two depthwise convolutions 3 x 3, one after the other: derivatives by its inputs are asked of the
second one, not of the first one. `pointwise` is two convolutions 1 x 1. `block` is pointwise, depthwise, pointwise. All
have as many filters as channels, `same` padding and ReLU; behind them stand the mean of each channel and a dense layer.
What is timed is the processor's time.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import product

from comparison import Comparison, Measurement, Options, Peer, print_document, run_peer
from one_core import prediction, stay_on_one_core, training_step
from threadpoolctl import threadpool_limits

from raydient.spec.network import Network as NetworkSpec
from raydient.workers.network import build

ROWS, CLASSES, STEPS, WARM_UP_STEPS = 32, 10, 20, 5
MODELS = {"depthwise": "dd", "pointwise": "pp", "block": "pdp"}
IMAGES = ((28, 64), (14, 128))
"""Height and width, and channels."""


def ours(model: str, size: int, channels: int, *, predict: bool, steps: int) -> Measurement:
    common = {"filters": channels, "padding": "same", "activation": "relu"}
    kinds = {"d": {"kernel_size": 3, "groups": channels}, "p": {"kernel_size": 1}}
    convolutions = [{"conv2d": {**common, **kinds[kind]}} for kind in MODELS[model]]
    layers = [*convolutions, "global_average_pooling2d", {"dense": {"units": CLASSES}}]
    specification = NetworkSpec.model_validate({"layers": layers, "loss": "softmax_cross_entropy"})
    network = build(specification, (size, size, channels))
    return (prediction if predict else training_step)(network, ROWS, steps, WARM_UP_STEPS, time.process_time)


def torch(model: str, size: int, channels: int, *, predict: bool) -> Measurement:
    (result,) = run_peer(
        "torch_depthwise.py", "--layers", MODELS[model], "--size", size, "--channels", channels, "--classes", CLASSES,
        "--batch", ROWS, "--steps", STEPS, *["--predict"] * predict,
    )  # fmt: skip
    return {"samples_per_s": result["samples_per_s"], "step_ms": result["ms_per_step"]}


def main() -> None:
    options = Options.parse(__doc__, 5)
    stay_on_one_core()
    contenders: dict[str, Callable[[], Measurement]] = {}
    names = []
    for model, (size, channels), predict in product(MODELS, IMAGES, (False, True)):
        name = f"{model} {'predict' if predict else 'train'} {size}x{size}x{channels}"
        names.append(name)
        steps = options.size(STEPS, 1)
        contenders[f"{name}, raydient"] = partial(ours, model, size, channels, predict=predict, steps=steps)
        contenders[f"{name}, PyTorch"] = Peer(partial(torch, model, size, channels, predict=predict))
    comparison = Comparison(options, contenders)
    with threadpool_limits(1):
        comparison.run()
    for name in names:
        comparison.ratio("samples_per_s", f"{name}, raydient", f"{name}, PyTorch")
    print_document(comparison.document("depthwise"))


if __name__ == "__main__":
    main()
