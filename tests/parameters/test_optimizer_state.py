"""The state of each optimizer: what it begins with, and the bits of a run that goes on from a checkpoint."""

import numpy as np
import pytest

from raydient.server.parameters.snapshots import restore, vectors
from raydient.server.training.checkpoints import Checkpoints
from raydient.spec.training import Training
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule
from raydient.wire.frames import ProtocolError

from .optimizer_cases import CASES
from .test_optimizers import Run

LAYOUT = Layout.of([("a.kernel", (2, 3)), ("a.bias", (3,))])
FOUR = Layout.of([("a.bias", (4,))])
SCHEDULE = Schedule(train_rows=100, test_rows=0, epochs=2, batch_size=20, microbatches=4)


def state_of(name):
    kind, settings = CASES[name]
    return vectors(Training.model_validate({"optimizer": {kind: settings}}))


@pytest.mark.parametrize("name", CASES)
def test_a_run_goes_on_from_a_checkpoint_with_the_same_bits(name, tmp_path):
    rng, state = np.random.default_rng(3), state_of(name)
    start, gradients = rng.normal(size=LAYOUT.size), rng.normal(size=(6, LAYOUT.size))
    whole, first, second = (Run(*CASES[name], start) for _ in range(3))
    for gradient in gradients:
        whole.update(gradient)
    for gradient in gradients[:3]:
        first.update(gradient)
    checkpoints = Checkpoints(tmp_path, job="a1", layout=LAYOUT, state=dict.fromkeys(state, LAYOUT), schedule=SCHEDULE)
    arrays = {"weights": first.weights, **dict(zip(state, first.state, strict=True))}
    position = {"round": 3, "step": 3, "epoch": 0, "epoch_sums": [], "numerics": {}}
    checkpoints.save(arrays, position, metadata={"digest": LAYOUT.digest(first.weights)}, keep=1)

    loaded, damage = checkpoints.load_latest()
    second.weights, *second.state = restore(loaded.arrays, np.zeros(LAYOUT.size, np.float32), LAYOUT, state).values()
    second.step = 3
    for gradient in gradients[3:]:
        second.update(gradient)

    assert damage == []
    assert second.weights.tobytes() == whole.weights.tobytes()
    assert [array.tobytes() for array in second.state] == [array.tobytes() for array in whole.state]


@pytest.mark.parametrize("name", ["adagrad", "ftrl", "rmsprop, centered, momentum", "amsgrad", "sgd"])
def test_arrays_that_no_checkpoint_has_begin_with_their_value(name):
    weights = np.ones(4, np.float32)
    arrays = restore({"weights": np.full(4, 2, np.float32)}, weights, FOUR, state_of(name))

    assert arrays.pop("weights") is weights
    assert weights.tolist() == [2, 2, 2, 2]
    values = {name: array.tolist() for name, array in arrays.items()}
    tenth = [np.float32(0.1)] * 4
    assert (
        values
        == {
            "adagrad": {"accumulator": tenth},
            "ftrl": {"accumulator": tenth, "linear": [0] * 4},
            "rmsprop, centered, momentum": {"gradient_squares": [0] * 4, "gradient_mean": [0] * 4, "velocity": [0] * 4},
            "amsgrad": {"first_moment": [0] * 4, "second_moment": [0] * 4, "largest_second_moment": [0] * 4},
            "sgd": {},
        }[name]
    )


def test_an_array_of_another_size_is_refused():
    with pytest.raises(ProtocolError, match="accumulator"):
        restore({"accumulator": np.ones(3, np.float32)}, np.ones(4, np.float32), FOUR, state_of("adagrad"))
