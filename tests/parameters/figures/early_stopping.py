"""Computes early_stopping.json: the decisions of Keras's EarlyStopping on sequences of values.

python -m venv /tmp/keras && /tmp/keras/bin/pip install keras 'jax[cpu]'
KERAS_BACKEND=jax /tmp/keras/bin/python tests/parameters/figures/early_stopping.py > \
    tests/parameters/figures/early_stopping.json
"""

import itertools
import json
import random
import sys
from types import SimpleNamespace

import keras


def run(values, **settings):
    """Return the epochs that Keras trains, from 1, and its best epoch and value then."""
    model = SimpleNamespace(stop_training=False, metrics=[])
    callback = keras.callbacks.EarlyStopping(monitor="value", **settings)
    callback.set_model(model)
    callback.on_train_begin()
    epochs = 0
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"value": value})
        epochs = epoch + 1
        if model.stop_training:
            break
    return {"epochs": epochs, "best_epoch": callback.best_epoch + 1, "best": callback.best}


def cases():
    chance = random.Random(5)
    for patience, min_delta, mode in itertools.product((1, 2, 4), (0.0, 0.125), ("min", "max")):
        values = [round(chance.uniform(0, 1), 3) for _ in range(4)]
        while len(values) < 24:
            values.append(round(values[-1] + chance.uniform(-0.3, 0.3), 3))
        settings = {"patience": patience, "min_delta": min_delta, "mode": mode}
        yield {**settings, "values": values, "keras": run(values, **settings)}


if __name__ == "__main__":
    lines = ",\n".join(map(json.dumps, cases()))
    sys.stdout.write(f'{{\n"keras": "{keras.__version__}",\n"cases": [\n{lines}\n]\n}}\n')
