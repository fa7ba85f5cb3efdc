"""Computes schedules.json: learning rates of Keras and PyTorch, by the settings of the specification.

python -m venv /tmp/keras && /tmp/keras/bin/pip install keras 'jax[cpu]' torch
KERAS_BACKEND=jax /tmp/keras/bin/python tests/parameters/figures/schedules.py > tests/parameters/figures/schedules.json
"""

import json
import sys
from types import SimpleNamespace

import keras
import torch
from keras.callbacks import ReduceLROnPlateau
from keras.optimizers import SGD
from keras.optimizers import schedules as k

BASE, STEPS = 0.1, 40
KERAS = [
    ({"step": {"boundaries": [5, 9], "values": [0.05, 0.01]}}, k.PiecewiseConstantDecay([5, 9], [BASE, 0.05, 0.01])),
    ({"exponential": {"decay_steps": 7, "decay_rate": 0.5}}, k.ExponentialDecay(BASE, 7, 0.5)),
    ({"exponential": {"decay_steps": 7, "decay_rate": 0.9, "staircase": True}}, k.ExponentialDecay(BASE, 7, 0.9, True)),
    ({"exponential": {"decay_steps": 10, "decay_rate": 2.0}}, k.ExponentialDecay(BASE, 10, 2.0)),
    ({"inverse_time": {"decay_steps": 6, "decay_rate": 0.5}}, k.InverseTimeDecay(BASE, 6, 0.5)),
    ({"inverse_time": {"decay_steps": 6, "decay_rate": 3, "staircase": True}}, k.InverseTimeDecay(BASE, 6, 3, True)),
    ({"polynomial": {}}, k.PolynomialDecay(BASE, STEPS)),
    ({"polynomial": {"decay_steps": 8, "end_learning_rate": 0.2, "power": 0.5}}, k.PolynomialDecay(BASE, 8, 0.2, 0.5)),
    ({"polynomial": {"decay_steps": 9, "power": 2.0, "cycle": True}}, k.PolynomialDecay(BASE, 9, 1e-4, 2.0, True)),
    ({"cosine": {}}, k.CosineDecay(BASE, STEPS)),
    ({"cosine": {"decay_steps": 30, "alpha": 0.1}}, k.CosineDecay(BASE, 30, 0.1)),
    ({"cosine": {"decay_steps": 6, "restarts": {}}}, k.CosineDecayRestarts(BASE, 6)),
    (
        {"cosine": {"decay_steps": 7, "alpha": 0.05, "restarts": {"t_mul": 1.5, "m_mul": 0.8}}},
        k.CosineDecayRestarts(BASE, 7, 1.5, 0.8, 0.05),
    ),
    (
        {"cosine": {"decay_steps": 8, "restarts": {"t_mul": 1.0, "m_mul": 0.5}}},
        k.CosineDecayRestarts(BASE, 8, 1.0, 0.5),
    ),
]  # fmt: skip
WARM = (
    {"cosine": {}},
    {"steps": 10, "initial_learning_rate": 0.01},
    k.CosineDecay(0.01, STEPS - 10, 0.0, "", BASE, 10),
)
ONE_CYCLE = [
    {},
    {"anneal_strategy": "linear"},
    {"three_phase": True},
    {
        "pct_start": 0.45,
        "div_factor": 10.0,
        "final_div_factor": 100.0,
        "three_phase": True,
        "anneal_strategy": "linear",
    },
    {"pct_start": 0.1, "div_factor": 2.0},
]
LOSSES = [1.0, 0.8, 0.8, 0.79995, 0.9, 0.7, 0.71, 0.71, 0.71, 0.71, 0.71, 0.71, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
PLATEAUS = [
    {"patience": 2},
    {"patience": 2, "factor": 0.5, "cooldown": 2},
    {"patience": 3, "factor": 0.5, "min_delta": 0.05, "min_lr": 0.03},
    {"patience": 1, "mode": "max"},
]


def one_cycle(settings):
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, BASE, total_steps=STEPS, **settings)
    rates = []
    for step in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < STEPS - 1:
            schedule.step()
    return rates


def plateau(settings):
    """The rate of each epoch, by the losses before it."""
    optimizer = SGD(BASE)
    callback = ReduceLROnPlateau(**{"mode": "min", **settings})
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(LOSSES):
        rates.append(float(optimizer.learning_rate))
        callback.on_epoch_end(epoch, {"val_loss": loss})
    return rates


def one_a_line(value):
    if not (isinstance(value, list) and isinstance(value[0], dict)):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"


schedules = [(schedule, None, [float(rate(step)) for step in range(STEPS)]) for schedule, rate in KERAS]
schedules += [(WARM[0], WARM[1], [float(WARM[2](step)) for step in range(STEPS)])]
schedules += [({"one_cycle": settings}, None, one_cycle(settings)) for settings in ONE_CYCLE]
document = {
    "keras": keras.__version__,
    "torch": torch.__version__.partition("+")[0],
    "base": BASE,
    "steps": STEPS,
    "schedules": [
        {"schedule": s, "warm_up": w, "rates": [float(f"{r:.9g}") for r in rates]} for s, w, rates in schedules
    ],
    "losses": LOSSES,
    "plateaus": [{"plateau": p, "rates": [float(f"{r:.9g}") for r in plateau(p)]} for p in PLATEAUS],
}
sys.stdout.write("{\n" + ",\n".join(f"{json.dumps(n)}: {one_a_line(v)}" for n, v in document.items()) + "\n}\n")
