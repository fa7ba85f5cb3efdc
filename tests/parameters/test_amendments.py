"""Amendments that wait, take effect at one round, and change rules and rounds."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from raydient.server.parameters.amending import Amending, Settings
from raydient.server.parameters.position import Position
from raydient.spec.training import Training
from raydient.steps.amendments import Amendment
from raydient.steps.schedule import Schedule
from raydient.wire import control
from raydient.wire.endpoint import Transport

from .conftest import SETTINGS

ROUNDS = Schedule(train_rows=10, test_rows=3, epochs=4, batch_size=2, microbatches=2)
"""Rounds 0 to 4 are the steps of the first epoch, round 5 is its evaluation."""
FOREVER = 10**6


def amending(rounds=ROUNDS, waiting=(), **training):
    def build(training, rounds, watched):
        return Settings.of(training, rounds, watched, {}, {})

    return Amending(build(Training.model_validate({"epochs": 4, **training}), rounds, {}), build, waiting)


def at(round_, step):
    return Position(round_, step, np.zeros(2))


def due(amending, position):
    return [amendment for amendment, _ in amending.due(position)]


def test_it_takes_effect_before_the_next_step_and_is_part_of_the_position_from_there_on():
    waiting, position = amending(), at(5, 5)
    waiting.add(Amendment(1, {"training.epochs": 9}), position)
    assert due(waiting, position) == []  # the evaluation comes next
    position.round = 6
    ((amendment, settings),) = waiting.due(position)
    assert amendment == Amendment(1, {"training.epochs": 9}, 6, 5)
    assert position.amendments == [amendment]
    assert (settings.schedule.epochs, settings.training.epochs) == (9, 9)
    assert due(waiting, position) == []


def test_one_that_is_known_is_not_added_again():
    position = at(0, 0)
    waiting = amending(waiting=[Amendment(1, {"training.epochs": 9})])
    waiting.add(Amendment(1, {"training.epochs": 9}), position)
    assert len(due(waiting, position)) == 1
    waiting.add(Amendment(1, {"training.epochs": 9}), position)
    assert due(waiting, position) == []


def test_one_that_is_decided_waits_for_its_round_and_holds_back_those_after_it():
    waiting = amending(waiting=[Amendment(1, {"training.epochs": 9}, 3, 3), Amendment(2, {"training.epochs": 8})])
    assert due(waiting, at(2, 2)) == []
    assert [amendment.number for amendment in due(waiting, at(3, 3))] == [1, 2]


def test_none_takes_effect_before_a_step_whose_results_are_known():
    waiting = amending(waiting=[Amendment(1, {"training.epochs": 9}, step=4)])
    assert due(waiting, at(3, 3)) == []
    assert len(due(waiting, at(4, 4))) == 1


@pytest.mark.parametrize(
    ("test_rows", "round_", "step", "settings", "expected", "rounds"),
    [
        (3, 8, 7, {"training.epochs": 1}, {"training.epochs": 2}, 12),  # the second epoch goes on to its end
        (3, 12, 10, {"training.epochs": 1}, {"training.epochs": 2}, 12),  # training is over
        (3, 8, 7, {"training.max_steps": 2}, {"training.max_steps": 7}, 9),  # the evaluation follows
        (3, 12, 10, {"training.max_steps": 2}, {"training.max_steps": 10}, 12),
        (0, 7, 7, {"training.max_steps": 2}, {"training.max_steps": 8}, 8),  # the next step ends the epoch
        (0, 10, 10, {"training.max_steps": 2}, {"training.max_steps": 10}, 10),
        (3, 8, 7, {"training.max_steps": FOREVER}, {"training.max_steps": FOREVER}, 24),
    ],
)
def test_an_end_that_has_passed_becomes_the_nearest_one(test_rows, round_, step, settings, expected, rounds):
    schedule = Schedule(train_rows=10, test_rows=test_rows, epochs=4, batch_size=2, microbatches=2)
    waiting = amending(schedule, [Amendment(1, settings)])
    ((amendment, changed),) = waiting.due(at(round_, step))
    assert amendment.settings == expected
    assert changed.schedule.rounds == rounds
    assert changed.schedule.position(rounds)[1] == changed.schedule.steps >= step


def test_at_the_end_of_the_last_epoch_more_may_follow():
    waiting = amending(waiting=[Amendment(1, {"training.epochs": 5})])
    assert len(due(waiting, at(24, 20))) == 1


def test_after_the_last_step_of_max_steps_none_takes_effect():
    cut = ROUNDS.lasting(4, 7)
    waiting = amending(cut, [Amendment(1, {"training.max_steps": 9})], max_steps=7)
    assert due(waiting, at(cut.rounds, 7)) == []


def test_a_new_rate_keeps_the_place_in_the_schedule_and_the_reductions_on_a_plateau():
    plain = amending(waiting=[Amendment(1, {"training.optimizer.sgd.learning_rate": 0.5})], schedule="cosine")
    ((_, settings),) = plain.due(at(6, 5))
    assert settings.rule.learning_rate(10) == pytest.approx(0.25)  # half of the 20 steps


def test_clipping_is_switched_on_changed_and_off():
    waiting = amending(
        waiting=[
            Amendment(1, {"training.clipping.global_norm.limit": 2.0}),
            Amendment(2, {"training.clipping.values.limit": 0.5}),
            Amendment(3, {"training.clipping": None}),
        ]
    )
    rules = [settings.rule for _, settings in waiting.due(at(1, 1))]
    assert [(rule.scale is not None, rule.limit) for rule in rules] == [(True, None), (False, 0.5), (False, None)]


def test_the_limit_of_time_is_switched_on_and_off():
    waiting = amending(
        waiting=[Amendment(1, {"training.max_minutes": 2}), Amendment(2, {"training.max_minutes": None})]
    )
    assert [settings.limit_seconds for _, settings in waiting.due(at(1, 1))] == [120, float("inf")]


def final(server):
    """Return the arrays of the last snapshot."""
    while True:
        snapshot, arrays = server.expect(control.Snapshot)
        if snapshot.final:
            return arrays


@pytest.mark.parametrize("limit", [None, 0.05])
def test_the_rest_has_the_bits_of_a_server_that_begins_there_with_the_new_values(start_server, tree_job, limit):
    """Two steps are made with the old values; a snapshot at the third round has the amendment."""
    clipping = None if limit is None else {"global_norm": {"limit": limit}}
    old = {"optimizer": {"adam": SETTINGS}, "epochs": 2}
    new = {**old, "optimizer": {"adam": SETTINGS | {"learning_rate": 0.2}}, "clipping": clipping}
    settings = {"training.optimizer.adam.learning_rate": 0.2, "training.clipping": clipping}
    finals = []
    for fields in (
        {
            "training": Training.model_validate(old).canonical(),
            "waiting": [Amendment(1, settings, 2, 2)],
        },
        {
            "training": Training.model_validate(new).canonical(),
            "round": 2,
            "step": 2,
            "arrays": dict(zip(("weights", "first_moment", "second_moment"), tree_job.reference[2], strict=True)),
        },
    ):
        server = start_server()
        server.serve(**fields)
        channel = server.attach(0, Transport.SHARED_MEMORY)
        server.plan(0)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(server.work, channel)
            arrays = final(server)
        finals.append({name: array.tobytes() for name, array in arrays.items()})
    assert finals[0] == finals[1]
    assert finals[0]["weights"] != tree_job.reference[-1][0].tobytes()
