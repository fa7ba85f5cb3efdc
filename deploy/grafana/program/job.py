"""The dashboard *Job*: learning, speed, workers and checkpoints of a training job."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from .frame import GRADIENT_HEALTH, JOB, deep_link, frame, section
from .panels import bars, gauge, lines, named, number, stacked, stairs
from .queries import per_second, quantile, quantiles, query, series, training_job_variable

STATES = {
    "queued": "yellow",
    "starting": "blue",
    "running": "green",
    "paused": "purple",
    "cancelling": "orange",
    "succeeded": "dark-green",
    "cancelled": "gray",
    "failed": "red",
}
PHASES = {"data": "yellow", "forward": "blue", "backward": "purple", "push": "orange", "wait": "gray", "apply": "green"}
SPLITS = {"train": "blue", "test": "orange"}


def job() -> Dashboard:
    """Return the dashboard; its sections are repeated for each chosen training job."""
    about = "A training job: learning, speed, workers, checkpoints. Choose more than one to compare them."
    dashboard = frame(JOB, about, training_job_variable(), period="30m")
    sections = {"now": _now(), "learning": _learning(), "speed": _speed(), "workers and checkpoints": _members()}
    for title, panels in sections.items():
        dashboard = section(dashboard, f"${{training_job:text}}: {title}", panels, repeat="training_job")
    return dashboard


def _now() -> list[Builder[Panel]]:
    done = series("raydient_job_progress_ratio")
    left = f"(1 - {done}) / (deriv({done}[$__rate_interval]) > 0)"
    state = number("State", "State of the job; if it failed, the reason.", "none", "", nothing="not reported")
    of_state = query(series("raydient_job_state"), "{{state}}", instant=True)
    reason = query(series("raydient_job_failed"), "{{reason}}", instant=True)
    restarts = f"sum(increase({series('raydient_job_restarts_total')}[$__range]))"
    return [
        named(state, [of_state, reason], STATES),
        gauge("Progress", "Share of the steps that are done.", "percentunit", [query(done, "done")], width=4, height=4),
        number("Time left", "Until the last step, at the present speed.", "s", left, nothing="–"),
        number("Loss, train", "Over the last complete epoch.", "none", series("raydient_job_loss", split="train")),
        number(
            "Loss, test", "On the held-out part, after the last epoch.", "none", _loss("test"), nothing="no test part"
        ),
        number("Accuracy, test", "On the held-out part, after the last epoch.", "percentunit", _accuracy("test")),
        number("Workers", "Alive now.", "none", series("raydient_job_workers", state="alive"), width=2),
        number(
            *("Restarts", "Workers and parameter servers replaced within the time range.", "none", restarts),
            steps=[(None, "green"), (0.5, "yellow"), (5, "red")],
        ).decimals(0),
    ]


def _loss(split: str) -> str:
    return series("raydient_job_loss", split=split)


def _accuracy(split: str) -> str:
    return series("raydient_job_metric", name="accuracy", split=split)


def _learning() -> list[Builder[Panel]]:
    loss = lines(
        *(
            "Loss",
            "Mean over an epoch: `train` while the weights changed, `test` on the held-out part after it.",
            "none",
        ),
        [query(series("raydient_job_loss"), "{{split}}")],
        colors=SPLITS,
        height=9,
    )
    accuracy = lines(
        *("Accuracy", "Share of samples that were classified correctly, by epoch.", "percentunit"),
        [query(series("raydient_job_metric", name="accuracy"), "{{split}}")],
        colors=SPLITS,
        height=9,
    )
    step_loss = lines(
        *("Loss of a step", "Of the newest batch: noisy, but minutes ahead of the epoch's.", "none"),
        [query(series("raydient_job_step_loss"), "loss")],
    )
    rate = lines(
        *("Learning rate", "Of the last update: the optimizer's, after the schedule and the warm-up.", "none"),
        [query(series("raydient_job_learning_rate"), "learning rate")],
    ).min(0)
    clipped_steps = f"sum by (training_job) ({per_second('raydient_job_clipped_steps_total')})"
    all_steps = f"sum by (training_job) ({per_second('raydient_job_steps_total')})"
    clipped = lines(
        *(
            "Clipped gradients",
            "Share of the steps whose gradient was clipped, and the share of its norm that was left of the last one.",
            "percentunit",
        ),
        [
            query(f"{clipped_steps} / on (training_job) {all_steps}", "clipped steps"),
            query(series("raydient_job_clip_factor"), "norm left"),
        ],
    ).min(0)
    counted = f"sum by (training_job) ({per_second('raydient_job_staleness_steps_count')})"
    staleness = lines(
        *(
            "Staleness of gradients",
            "Updates between the weights of a gradient and those to which it was applied; none in synchronous jobs.",
            "none",
        ),
        [
            query(f"sum by (training_job) ({per_second('raydient_job_staleness_steps_sum')}) / {counted}", "mean"),
            query(quantile(0.95, "raydient_job_staleness_steps"), "95 %"),
        ],
    ).min(0)
    look = deep_link("Gradient health of this job", GRADIENT_HEALTH, "${training_job}")
    return [loss.links([look]), accuracy, step_loss.links([look]), rate, clipped, staleness]


def _speed() -> list[Builder[Panel]]:
    steps = f"sum by (training_job) ({per_second('raydient_job_steps_total')})"
    work = f"sum by (training_job, phase) ({per_second('raydient_job_phase_seconds_total')})"
    return [
        lines(
            *("Throughput", "Training samples a second, those repeated after a loss included.", "cps"),
            [query(f"sum({per_second('raydient_job_samples_total')})", "samples")],
            width=8,
        ).min(0),
        lines(
            *("Step time", "From one update to the next, evaluations in between included.", "s"),
            quantiles("raydient_job_step_seconds"),
            width=8,
        ).min(0),
        stacked(
            lines(
                "Work in a step",
                "Time in each phase. `forward`, `backward`, `push` and `wait` are sums over the workers, `apply` is "
                "the parameter server's; much `wait` means that workers idle.",
                "s",
                [query(f"{work} / on (training_job) group_left () {steps}", "{{phase}}")],
                width=8,
                colors=PHASES,
            )
        ),
        lines(
            "Exchange",
            "Payload between workers and parameter server, in shared memory too: gradients pushed, weights pulled. "
            "`saved` is what pushes would take in addition without the job's codec.",
            "Bps",
            [
                query(per_second("raydient_exchange_bytes_total"), "{{direction}}"),
                query(per_second("raydient_exchange_saved_bytes_total"), "saved"),
            ],
        ).min(0),
        lines(
            *("Epoch time", "Wall time of the last complete epoch, evaluation included.", "s"),
            [query(series("raydient_job_epoch_seconds"), "epoch")],
        ).min(0),
    ]


def _members() -> list[Builder[Panel]]:
    age = f"time() - {series('raydient_job_checkpoint_timestamp_seconds')}"
    replaced = f"increase({series('raydient_job_restarts_total')}[$__rate_interval])"
    refused = f"increase({series('raydient_job_refused_connections_total')}[$__rate_interval])"
    return [
        stairs(
            lines(
                "Workers",
                "Processes that compute, and how many there should be. Below `minimum` the job waits.",
                "none",
                [query(series("raydient_job_workers"), "{{state}}")],
                width=8,
                colors={"alive": "green", "wanted": "blue", "starting": "yellow", "minimum": "red"},
            )
        ),
        bars(
            lines(
                *("Restarts", "Members replaced, in the interval before each bar.", "none"),
                [query(replaced, "{{role}}")],
                width=8,
                colors={"worker": "yellow", "parameter_server": "red"},
            )
        ).decimals(0),
        bars(
            lines(
                "Refused connections",
                "Connections that the job's processes closed, in the interval before each bar: `secret` without proof "
                "of the run's secret, `peer` with the number of another process, `frame` with a forbidden frame.",
                "none",
                [query(refused, "{{reason}}")],
                width=8,
            )
        ).decimals(0),
        lines(
            "Checkpoint age",
            "Time since the newest checkpoint: what the loss of a parameter server costs. Workers cost nothing.",
            "s",
            [query(age, "age")],
            width=6,
        ).min(0),
        lines(
            *("Checkpoint time", "To write the newest checkpoint; training goes on meanwhile.", "s"),
            [query(series("raydient_job_checkpoint_seconds"), "write")],
            width=6,
        ).min(0),
        lines(
            *("Checkpoint size", "Arrays of the newest checkpoint.", "bytes"),
            [query(series("raydient_job_checkpoint_size_bytes"), "size")],
            width=6,
        ).min(0),
        stairs(
            lines(
                *("Checkpoint step", "Step of the newest checkpoint.", "none"),
                [query(series("raydient_job_checkpoint_step"), "step")],
                width=6,
            )
        ),
    ]
