"""Computes average.json: the average of PyTorch's AveragedModel on a trajectory of weights.

python -m venv /tmp/torch && /tmp/torch/bin/pip install torch
/tmp/torch/bin/python tests/parameters/figures/average.py > tests/parameters/figures/average.json
"""

import json
import random
import sys

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

DECAYS = (0.0, 0.3, 0.9, 0.999)


def averages(decay, weights):
    """Return the average after each step."""
    model = torch.nn.Linear(len(weights[0]), 1, bias=False, dtype=torch.float64)
    average, result = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)), []
    for values in weights:
        with torch.no_grad():
            model.weight[:] = torch.tensor(values, dtype=torch.float64)
        average.update_parameters(model)
        result.append(average.module.weight.detach().reshape(-1).tolist())
    return result


if __name__ == "__main__":
    chance = random.Random(3)
    weights = [[round(chance.uniform(-2, 2), 4) for _ in range(5)] for _ in range(12)]
    cases = [{"decay": decay, "averages": averages(decay, weights)} for decay in DECAYS]
    json.dump({"torch": torch.__version__, "weights": weights, "cases": cases}, sys.stdout, indent=1)
    sys.stdout.write("\n")
