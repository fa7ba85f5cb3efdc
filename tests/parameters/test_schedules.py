"""Learning rates against Keras and PyTorch, against twins written from the equations, and by hand."""

import json
from math import cos, pi
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters.scalars import cos_pi, power
from raydient.server.parameters.schedules import SCHEDULES, build_rate
from raydient.spec.schedules import LearningRateSchedule, WarmUp
from raydient.steps.schedule import Schedule

FIGURES = json.loads((Path(__file__).parent / "figures" / "schedules.json").read_text())
BASE, STEPS = FIGURES["base"], FIGURES["steps"]


def rounds(steps, steps_per_epoch=1):
    return Schedule(steps_per_epoch, 0, steps // steps_per_epoch, 1, 1)


def rates(schedule, steps=STEPS, *, base=BASE, steps_per_epoch=1, warm_up=None):
    choice = LearningRateSchedule.model_validate(schedule)
    warm_up = warm_up and WarmUp.model_validate(warm_up)
    rate = build_rate(base, choice, warm_up, rounds(steps, steps_per_epoch))
    return [rate(step) for step in range(steps)]


def test_every_option_of_the_specification_is_built_and_compared():
    assert set(SCHEDULES) == set(LearningRateSchedule.model_fields)
    compared = {kind for case in FIGURES["schedules"] for kind in case["schedule"]}
    assert compared | {"constant", "plateau"} == set(SCHEDULES)


@pytest.mark.parametrize("case", FIGURES["schedules"], ids=lambda case: json.dumps(case["schedule"]))
def test_rates_are_those_of_keras_and_pytorch(case):
    """Keras computes in float32, so its rates near 0 have an absolute error."""
    computed = rates(case["schedule"], warm_up=case["warm_up"])
    assert computed == pytest.approx(case["rates"], rel=2e-6, abs=1e-8)


# ---- twins


def exponential(t, n, rate):
    return BASE * rate ** (t / n)


def inverse_time(t, n, rate):
    return BASE / (1 + rate * t / n)


def polynomial(t, n, end, exponent):
    return (BASE - end) * (1 - min(t, n) / n) ** exponent + end


def cosine(t, n, alpha):
    return BASE * ((1 - alpha) / 2 * (1 + cos(pi * min(t, n) / n)) + alpha)


def with_restarts(t, n, alpha, t_mul, m_mul):
    """Loshchilov and Hutter (2017), equation 5, cycle by cycle."""
    length, factor = float(n), 1.0
    while t >= length:
        t, length, factor = t - length, length * t_mul, factor * m_mul
    return BASE * ((1 - alpha) * factor / 2 * (1 + cos(pi * t / length)) + alpha)


lengths, shares = st.integers(1, 60), st.floats(0, 1)


@given(n=lengths, rate=st.floats(1e-3, 10), end=st.floats(0, 1), exponent=st.floats(0.1, 5), alpha=shares)
def test_decays_are_their_equations(n, rate, end, exponent, alpha):
    length = {"decay_steps": n}
    for kind, settings, twin in (
        ("exponential", {"decay_rate": rate}, lambda t: exponential(t, n, rate)),
        ("inverse_time", {"decay_rate": rate}, lambda t: inverse_time(t, n, rate)),
        ("exponential", {"decay_rate": rate, "staircase": True}, lambda t: exponential(t // n * n, n, rate)),
        ("inverse_time", {"decay_rate": rate, "staircase": True}, lambda t: inverse_time(t // n * n, n, rate)),
        ("polynomial", {"end_learning_rate": end, "power": exponent}, lambda t: polynomial(t, n, end, exponent)),
        ("cosine", {"alpha": alpha}, lambda t: cosine(t, n, alpha)),
    ):
        expected = [twin(t) for t in range(STEPS)]
        assert rates({kind: {**length, **settings}}) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@given(n=st.integers(1, 20), alpha=shares, t_mul=st.sampled_from([1.0, 1.5, 2.0, 3.0]), m_mul=st.floats(0.1, 1))
def test_a_cosine_restarts_where_a_cycle_ends(n, alpha, t_mul, m_mul):
    computed = rates({"cosine": {"decay_steps": n, "alpha": alpha, "restarts": {"t_mul": t_mul, "m_mul": m_mul}}}, 100)
    assert computed == pytest.approx(
        [with_restarts(t, n, alpha, t_mul, m_mul) for t in range(100)], rel=1e-9, abs=1e-12
    )


@given(total=st.integers(1, 50), pct_start=shares, three_phase=st.booleans(), linear=st.booleans())
def test_one_cycle_stays_between_its_smallest_and_its_largest_rate(total, pct_start, three_phase, linear):
    settings = {
        "pct_start": pct_start / 2 if three_phase else pct_start,
        "anneal_strategy": "linear" if linear else "cos",
        "three_phase": three_phase,
    }
    computed = rates({"one_cycle": settings}, total)
    assert all(BASE / 25e4 * (1 - 1e-9) <= rate <= BASE * (1 + 1e-9) for rate in computed)


# ---- by hand


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1, 1, 1, 1]),
        # step 3 is the last with the first rate
        ({"step": {"boundaries": [3, 5], "values": [0.5, 0.1]}}, [1, 1, 1, 1, 0.5, 0.5, 0.1, 0.1]),
        # two epochs of two steps, then one
        ({"step": {"boundary_epochs": [2, 3], "values": [0.5, 0.1]}}, [1, 1, 1, 1, 0.5, 0.5, 0.1, 0.1]),
        ({"exponential": {"decay_epochs": 2, "decay_rate": 0.5, "staircase": True}}, [1] * 4 + [1/2] * 4),
        # half an epoch is one step
        ({"exponential": {"decay_epochs": 0.5, "decay_rate": 0.5}}, [1, 1/2, 1/4, 1/8, 1/16, 1/32, 1/64, 1/128]),
        ({"polynomial": {"decay_epochs": 2, "end_learning_rate": 0.0}}, [1, 0.75, 0.5, 0.25, 0, 0, 0, 0]),
        ({"cosine": {"decay_steps": 2}}, [1, 0.5, 0, 0, 0, 0, 0, 0]),
        ({"cosine": {"decay_steps": 2, "restarts": {"t_mul": 1.0}}}, [1, 0.5, 1, 0.5, 1, 0.5, 1, 0.5]),
    ],
)  # fmt: skip
def test_rates_by_hand(schedule, expected):
    assert rates(schedule, 8, base=1.0, steps_per_epoch=2) == expected


def test_a_schedule_begins_where_the_warm_up_ends():
    step = {"step": {"boundaries": [1], "values": [0.5]}}
    expected = [0, 0.25, 0.5, 0.75, 1, 1, 0.5, 0.5]
    for warm_up in ({"steps": 4}, {"epochs": 2}):
        assert rates(step, 8, base=1.0, steps_per_epoch=2, warm_up=warm_up) == expected


def test_a_warm_up_leads_to_the_first_rate_of_the_schedule_which_covers_the_rest_of_the_job():
    cycle = rates({"one_cycle": {}}, 6)
    warm_up = {"steps": 2, "initial_learning_rate": 0.0}
    assert rates({"one_cycle": {}}, 8, warm_up=warm_up) == [0, cycle[0] / 2, *cycle]


# ---- arithmetic


@given(base=st.floats(1e-30, 1e30), exponent=st.floats(0, 60))
def test_powers_are_those_of_the_c_library(base, exponent):
    try:
        expected = base**exponent
    except OverflowError:
        return
    if 1e-300 < expected < 1e300:
        assert power(base, exponent) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("base", "exponent", "expected"),
    [(0.0, 0.0, 1), (0.0, 0.5, 0), (0.5, 10.0, 2**-10), (2.0, 5000.5, float("inf")), (0.5, 5000.5, 0), (1.0, 1e9, 1)],
)
def test_powers_at_the_ends_of_their_range(base, exponent, expected):
    assert power(base, exponent) == expected


@given(x=st.floats(0, 1))
def test_the_cosine_is_that_of_the_c_library(x):
    assert cos_pi(x) == pytest.approx(cos(pi * x), abs=1e-15)


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (power(0.96, 3.7), "0x1.b8394b48c54aep-1"),
        (power(1.5, 0.1), "0x1.0a97dce72a0cbp+0"),
        (cos_pi(0.1), "0x1.e6f0e134454ffp-1"),
        (cos_pi(0.3), "0x1.2cf2304755a5ep-1"),
    ],
)
def test_the_arithmetic_has_fixed_bits(value, bits):
    """They are the nearest float64 to the exact values, and those of every machine."""
    assert value.hex() == bits
