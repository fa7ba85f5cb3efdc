"""The price of `numerics: portable`: training steps on one core with the portable code against this processor's own.

mlp is 784-512-512-10 with ReLU, 128 samples; mlp_elu the same with ELU, whose `expm1` a portable job computes from
basic operations; cnn is the convolutional network of `network.py`, 64 samples. A step is forward, backward and SGD.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from comparison import Comparison, Measurement, Options, print_document

from raydient.server.clusters.member import environment

STEPS = {"mlp": 200, "mlp_elu": 200, "cnn": 20}


def ours(model: str, steps: int, *, portable: bool) -> Measurement:
    """Run the steps in a new process, because libraries choose their code when they are loaded."""
    script = Path(__file__).with_name("own_step.py")
    variables = {**os.environ, **environment(portable=portable)}
    command = [sys.executable, str(script), model, str(steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=variables)
    measured: Measurement = json.loads(done.stdout)
    return measured


def main() -> None:
    options = Options.parse(__doc__, 5)
    contenders: dict[str, Callable[[], Measurement]] = {}
    models = list(STEPS)[: options.size(len(STEPS), 1)]
    for model in models:
        steps = options.size(STEPS[model], 1)
        contenders[f"{model} strict"] = partial(ours, model, steps, portable=False)
        contenders[f"{model} portable"] = partial(ours, model, steps, portable=True)
    comparison = Comparison(options, contenders)
    comparison.run()
    for model in models:
        comparison.ratio("samples_per_s", f"{model} portable", f"{model} strict")
    print_document(comparison.document("portable"))


if __name__ == "__main__":
    main()
