"""Every sample belongs to exactly one leaf in each epoch, whatever the sizes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.schedule import EVALUATION_BLOCK_ROWS, RoundKind, Schedule, default_microbatches


@st.composite
def cut(draw):
    """Return a schedule whose last epoch may end early."""
    whole = draw(schedules())
    before = (whole.epochs - 1) * whole.steps_per_epoch
    return replace(whole, max_steps=draw(st.integers(before + 1, whole.steps)))


@st.composite
def schedules(draw):
    batch_size = draw(st.integers(1, 70))
    return Schedule(
        train_rows=draw(st.integers(1, 200)),
        test_rows=draw(st.sampled_from([0, 1, 255, 256, 257, 1000])),
        epochs=draw(st.integers(1, 3)),
        batch_size=batch_size,
        microbatches=draw(st.integers(1, batch_size)),
    )


def rounds_of(schedule):
    return [schedule.round(number) for number in range(schedule.rounds)]


def rows_of(round_):
    return [row for leaf in range(round_.leaves) for row in range(*round_.leaf(leaf))]


@given(schedules())
def test_every_sample_is_seen_exactly_once_an_epoch(schedule):
    for epoch in range(schedule.epochs):
        mine = [r for r in rounds_of(schedule) if r.epoch == epoch]
        seen = [row for r in mine if r.kind is RoundKind.TRAIN for row in rows_of(r)]
        evaluated = [row for r in mine if r.kind is RoundKind.EVALUATE for row in rows_of(r)]

        assert seen == list(range(schedule.train_rows))
        assert evaluated == list(range(schedule.test_rows))


@given(schedules())
def test_leaves_of_a_step_differ_by_at_most_one_row_and_none_is_empty(schedule):
    for round_ in rounds_of(schedule):
        sizes = [stop - start for start, stop in map(round_.leaf, range(round_.leaves))]
        assert min(sizes) >= 1
        if round_.kind is RoundKind.TRAIN:
            assert max(sizes) - min(sizes) <= 1
            assert round_.leaves == min(schedule.microbatches, round_.stop - round_.start)
        else:
            assert set(sizes[:-1]) <= {EVALUATION_BLOCK_ROWS}
            assert sizes[-1] <= EVALUATION_BLOCK_ROWS


@given(schedules())
def test_rounds_and_steps_are_numbered_without_a_gap(schedule):
    rounds = rounds_of(schedule)
    trained = [r for r in rounds if r.kind is RoundKind.TRAIN]

    assert [r.number for r in rounds] == list(range(schedule.rounds))
    assert [r.step for r in trained] == list(range(schedule.steps))
    assert all(r.stop - r.start == schedule.batch_size for r in trained if r.stop < schedule.train_rows)
    for round_ in rounds:
        assert round_.step == sum(t.number < round_.number for t in trained)


@given(schedules())
def test_an_epoch_ends_where_the_next_round_is_of_another(schedule):
    rounds = rounds_of(schedule)
    for round_, following in zip(rounds, [*rounds[1:], None], strict=True):
        ends = following is None or following.epoch != round_.epoch
        assert schedule.is_epoch_end(round_.number) == ends
        if ends and schedule.test_rows:
            assert round_.kind is RoundKind.EVALUATE


@given(schedules())
def test_shape_rows_are_the_sizes_of_training_leaves_and_at_most_four(schedule):
    sizes = {
        stop - start
        for round_ in rounds_of(schedule)
        if round_.kind is RoundKind.TRAIN
        for start, stop in map(round_.leaf, range(round_.leaves))
    }

    assert schedule.shape_rows() == sizes
    assert len(sizes) <= 4


def test_a_schedule_by_hand():
    schedule = Schedule(train_rows=10, test_rows=300, epochs=2, batch_size=4, microbatches=3)

    assert (schedule.steps_per_epoch, schedule.rounds_per_epoch, schedule.steps, schedule.rounds) == (3, 4, 6, 8)
    first, last, evaluation = schedule.round(0), schedule.round(6), schedule.round(7)
    assert [first.leaf(i) for i in range(first.leaves)] == [(0, 1), (1, 2), (2, 4)]
    assert (last.epoch, last.step, last.start, last.stop, last.leaves) == (1, 5, 8, 10, 2)
    assert (evaluation.kind, evaluation.step) == (RoundKind.EVALUATE, 6)
    assert [evaluation.leaf(i) for i in range(evaluation.leaves)] == [(0, 256), (256, 300)]
    assert schedule.shape_rows() == {1, 2}
    assert replace(schedule, test_rows=0).rounds == 6


@pytest.mark.parametrize("number", [-1, 8])
def test_a_round_outside_the_job_is_an_error(number):
    schedule = Schedule(train_rows=10, test_rows=300, epochs=2, batch_size=4, microbatches=3)

    with pytest.raises(IndexError, match=f"round {number} of a job of 8"):
        schedule.round(number)


@pytest.mark.parametrize(("batch_size", "microbatches"), [(1, 1), (31, 1), (64, 2), (128, 4), (256, 8), (4096, 8)])
def test_microbatches_follow_from_the_batch_size_alone(batch_size, microbatches):
    assert default_microbatches(batch_size) == microbatches


@given(schedules(), st.integers(1, 20))
def test_health_is_measured_at_the_first_step_at_multiples_and_at_the_last(schedule, every):
    schedule = replace(schedule, gradient_health_every=every)
    measured = [r.step + 1 for r in rounds_of(schedule) if schedule.measures_health(r)]

    assert measured == sorted({1, *range(every, schedule.steps + 1, every), schedule.steps})


@given(schedules())
def test_health_is_never_measured_if_it_is_turned_off(schedule):
    assert not any(schedule.measures_health(r) for r in rounds_of(schedule))


@given(cut())
def test_a_last_epoch_that_ends_early_is_the_beginning_of_a_whole_one(schedule):
    whole = replace(schedule, max_steps=0)
    rounds, steps = rounds_of(schedule), [r for r in rounds_of(whole) if r.kind is RoundKind.TRAIN][: schedule.steps]
    trained = [r for r in rounds if r.kind is RoundKind.TRAIN]
    assert len(trained) == schedule.steps == schedule.max_steps
    assert [replace(r, number=0) for r in trained] == [replace(r, number=0) for r in steps]
    evaluated = [r.epoch for r in rounds if r.kind is RoundKind.EVALUATE]
    assert evaluated == (list(range(schedule.epochs)) if schedule.test_rows else [])
    ends = [r.epoch for r in rounds if schedule.is_epoch_end(r.number)]
    assert ends == list(range(schedule.epochs))
    positions = [schedule.position(number) for number in range(schedule.rounds + 1)]
    assert positions == [*((r.epoch, r.step) for r in rounds), (schedule.epochs, schedule.steps)]
    assert {stop - start for r in trained for start, stop in map(r.leaf, range(r.leaves))} <= schedule.shape_rows()
