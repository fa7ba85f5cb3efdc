"""Compares the schedule of the learning rate with the length of the job, which depends on the data.

A schedule that is longer than the job is an error: its end, which the user has set, would never be reached. One that is
shorter is an error where the rate would be 0 from there on; else the last rate goes on, as in Keras.
"""

from collections.abc import Iterator

from raydient.server.parameters.schedules import Rate, Span, boundaries_of, build_rate, warm_up_steps
from raydient.spec import schedules as spec
from raydient.spec.errors import FieldError
from raydient.spec.phrases import counted
from raydient.spec.training import Training
from raydient.steps.schedule import Schedule

LEAST, MOST = 1e-30, 1e30
"""Range of the rates of a job; weights are float32."""


def rate_problems(training: Training, rounds: Schedule) -> list[FieldError]:
    """Return what does not fit between a schedule with its warm-up and the rounds of the job."""
    warm_up = warm_up_steps(training.warm_up, rounds.steps_per_epoch)
    if warm_up >= rounds.steps:
        return [_warm_up_beyond_the_end(training.warm_up, warm_up, rounds)]
    span, kind = Span(rounds.steps - warm_up, rounds.steps_per_epoch), training.schedule.kind
    return [
        FieldError(f"training.schedule.{kind}.{field}", message)
        for field, message in _problems(training, span, _steps_text(span, warm_up, rounds))
    ]


def _steps_text(span: Span, warm_up: int, rounds: Schedule) -> str:
    """Describe the steps that a schedule covers."""
    if warm_up:
        return f"the {span.steps} that follow the warm-up of {warm_up}"
    return f"the {rounds.steps} of the job, {counted(rounds.epochs, 'epoch')} of {rounds.steps_per_epoch}"


def _warm_up_beyond_the_end(warm_up: spec.WarmUp | None, steps: int, rounds: Schedule) -> FieldError:
    field = "steps" if warm_up is not None and warm_up.steps is not None else "epochs"
    message = (
        f"{counted(steps, 'step')} are not fewer than the {rounds.steps} of the job: the warm-up would not end in it"
    )
    return FieldError(f"training.warm_up.{field}", message)


def _problems(training: Training, span: Span, there: str) -> Iterator[tuple[str, str]]:
    """Yield field and message of each problem; `there` describes the steps of the span."""
    match training.schedule.value:
        case spec.Step() as step:
            yield from _boundary_problems(step, span, there)
        case spec.Exponential() | spec.InverseTime() as decay:
            length = span.length(decay.decay_steps, decay.decay_epochs)
            if decay.staircase and length >= span.steps:
                message = (
                    f"{counted(length, 'step')} are not fewer than {there}: with staircase the rate would not change"
                )
                yield _length_field(decay), message
            else:
                yield from _range_problems(training, span)
        case spec.Polynomial() as decay:
            ends_at_0 = decay.end_learning_rate == 0 and not decay.cycle
            yield from _length_problems(decay, span, there, ends_at_0=ends_at_0)
        case spec.Cosine() as decay:
            yield from _length_problems(decay, span, there, ends_at_0=decay.alpha == 0 and decay.restarts is None)
        case spec.Plateau(min_lr=least) if least >= (base := training.optimizer.value.learning_rate):
            yield "min_lr", f"{least:g} is not below the optimizer's learning_rate, {base:g}"


def _boundary_problems(step: spec.Step, span: Span, there: str) -> Iterator[tuple[str, str]]:
    field = "boundaries" if step.boundaries else "boundary_epochs"
    before = -1
    for index, boundary in enumerate(boundaries_of(step, span)):
        if boundary >= span.steps - 1:
            message = f"no step follows step {boundary}, counted from 0, among {there}"
            yield f"{field}[{index}]", f"{message}: its rate would not be used"
        elif boundary <= before:
            yield f"{field}[{index}]", f"the same step as the boundary before, of {span.steps_per_epoch} an epoch"
        before = boundary


def _length_field(decay: spec.Decay | spec.Polynomial | spec.Cosine) -> str:
    return "decay_steps" if decay.decay_epochs is None else "decay_epochs"


def _length_problems(
    decay: spec.Polynomial | spec.Cosine, span: Span, there: str, *, ends_at_0: bool
) -> Iterator[tuple[str, str]]:
    length = span.length(decay.decay_steps, decay.decay_epochs)
    if length > span.steps:
        message = f"{counted(length, 'step')} are more than {there}: leave the length out for a schedule of that length"
        yield _length_field(decay), message
    elif length < span.steps and ends_at_0:
        message = f"{counted(length, 'step')} are fewer than {there}, and the rate would be 0 in the rest"
        yield _length_field(decay), f"{message}: leave the length out, or end above 0"


def _range_problems(training: Training, span: Span) -> Iterator[tuple[str, str]]:
    """Yield a problem if the last rate of a monotonic schedule is out of range."""
    rounds = Schedule(span.steps_per_epoch, 0, -(-span.steps // span.steps_per_epoch), 1, 1)
    rate: Rate = build_rate(training.optimizer.value.learning_rate, training.schedule, None, rounds)
    last = rate(span.steps - 1)
    if not LEAST <= last <= MOST:
        yield "decay_rate", f"the rate of the last of {span.steps} steps would be {last:g}: {LEAST:g} to {MOST:g}"
