"""Train the digits under each model of consistency, and draw time to accuracy and staleness.

Four workers on this machine, with and without one at a quarter of the speed. A microbatch takes a fixed time: a worker
computes it and sleeps until that is over (`paced_member.py`), so the workers need no core each, and the times depend
little on the machine. Needs raydient with its extras `server` and `plot`.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from raydient.server.clusters.forking import Entry
from raydient.server.clusters.local import LocalCluster
from raydient.server.clusters.opening import KINDS, Kind
from raydient.server.embedded import train
from raydient.server.training import plans
from raydient.server.training.reports import EpochEnded, Outcome, Progress, Report
from raydient.spec.job import JobSpec
from raydient.spec.reading import read_job_file
from raydient.steps.measurements import STALENESS_BUCKETS
from raydient.wire.control import Role

FOLDER = Path(__file__).parent
EQUAL = ", equal shares"
MODELS = {
    f"synchronous{EQUAL}": "tab:gray",
    "synchronous": "tab:blue",
    "bounded_staleness": "tab:orange",
    "asynchronous": "tab:green",
    "local": "tab:purple",
}
"""The models with their colours: names of job files, with EQUAL if shares do not follow the speed of the workers."""
SLOWER = 4.0
"""Factor of the time that a microbatch takes on the slow worker."""
ACCURACY = 0.97
PACED = "paced"
"""Name of the kind of cluster whose workers are paced."""


class PacedCluster(LocalCluster):
    """Processes on this machine whose workers take a fixed time for a microbatch."""

    def __init__(self, milliseconds: Sequence[float]) -> None:
        """`milliseconds` are the times of the workers, in the order in which they are started."""
        super().__init__(len(milliseconds))
        self._milliseconds = iter(milliseconds)

    def entry(self, role: Role) -> Entry:
        """Return what a process of this role runs."""
        if role is not Role.WORKER:
            return super().entry(role)
        return Entry(str(FOLDER / "paced_member.py"), (str(next(self._milliseconds)), role.value))


@dataclass
class Curve:
    """The course of a job.

    Attributes:
        model: one of MODELS.
        slow: one worker was slow.
        seconds: time since the first step at the end of each epoch.
        accuracy: accuracy on the held-out part then.
        staleness: number of gradients with a staleness within each of STALENESS_BUCKETS and beyond; empty if the model
            is synchronous.
        mean_staleness: in steps.
        samples: number of training samples.
    """

    model: str
    slow: bool
    seconds: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    staleness: list[int] = field(default_factory=list)
    mean_staleness: float = 0.0
    samples: int = 0

    def hear(self, report: Report) -> None:
        """Take a report of the run."""
        match report:
            case EpochEnded():
                self.seconds.append(report.seconds + (self.seconds[-1] if self.seconds else 0.0))
                self.accuracy.append(report.metrics["test"]["accuracy"])
            case Progress():
                self.samples = report.samples
                if (measured := report.measurements.staleness) is not None:
                    within = (0, *measured.buckets)
                    self.staleness = [n - before for before, n in zip(within, measured.buckets, strict=False)]
                    self.mean_staleness = measured.sum / measured.buckets[-1]

    def seconds_to(self, accuracy: float) -> float | None:
        """Return the time until the first epoch with at least this accuracy; None if there is none."""
        return next((s for s, a in zip(self.seconds, self.accuracy, strict=True) if a >= accuracy), None)


def job(model: str, *, epochs: int | None = None, seed: int | None = None) -> JobSpec:
    """Return the job of a model."""
    spec = read_job_file(FOLDER / f"{model.removesuffix(EQUAL)}.yaml")
    changes = {name: value for name, value in {"epochs": epochs, "seed": seed}.items() if value is not None}
    return spec.model_copy(update={"training": spec.training.model_copy(update=changes)})


def learn(model: str, spec: JobSpec, milliseconds: float, *, slow: bool) -> Curve:
    """Train with workers on which a microbatch takes `milliseconds`, or SLOWER times that on the last one if `slow`."""
    workers = spec.resources.workers.max
    times = [milliseconds] * (workers - 1) + [milliseconds * (SLOWER if slow else 1.0)]
    curve = Curve(model, slow)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kind = Kind(lambda slots, address: PacedCluster(times), PacedCluster)
        stack.enter_context(patch.dict(KINDS, {PACED: kind}))
        if model.endswith(EQUAL):
            stack.enter_context(patch.object(plans, "PATIENCE", float("inf")))  # no plan follows the speed
        data = FOLDER / spec.dataset.uri
        finished = train(spec, data, directory=directory / "job", report=curve.hear, cluster=PACED)
    if finished.outcome is not Outcome.SUCCEEDED:
        raise RuntimeError(f"training did not go through: {finished.message}")
    return curve


def table(curves: Sequence[Curve]) -> Iterator[str]:
    """Yield the lines of a table: time to ACCURACY without and with a slow worker, and the staleness with it."""
    yield f"{'':28} seconds to {ACCURACY:.0%} accuracy      staleness with a slow worker"
    yield f"{'model':28} {'equal workers':>14} {'one slow':>9} {'mean':>11} {'at most':>9}   best accuracy, one slow"
    for model in dict.fromkeys(curve.model for curve in curves):
        even, uneven = (next(c for c in curves if c.model == model and c.slow is slow) for slow in (False, True))
        times = [curve.seconds_to(ACCURACY) for curve in (even, uneven)]
        shown = [f"{seconds:.1f}" if seconds is not None else "–" for seconds in times]
        mean, most = (f"{uneven.mean_staleness:.2f}", largest(uneven)) if uneven.staleness else ("0", "0")
        yield f"{model:28} {shown[0]:>14} {shown[1]:>9} {mean:>11} {most:>9}   {max(uneven.accuracy):.1%}"


def largest(curve: Curve) -> str:
    """Return the bound of the last bucket with gradients."""
    last = max(place for place, count in enumerate(curve.staleness) if count)
    return str(STALENESS_BUCKETS[last]) if last < len(STALENESS_BUCKETS) else f"> {STALENESS_BUCKETS[-1]}"


def draw_accuracy(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw the accuracy on the held-out part over time."""
    for curve in curves:
        axes.plot(curve.seconds, curve.accuracy, color=MODELS[curve.model], label=curve.model, marker=".", lw=1.4)
    axes.axhline(ACCURACY, color="0.6", lw=0.8, ls="--")
    axes.set_xlabel("seconds since the first step")
    axes.set_ylim(bottom=0.9)
    axes.grid(visible=True, axis="y", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)


def draw_staleness(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw the shares of gradients by their staleness, a group of bars for each bucket."""
    stale = [curve for curve in curves if curve.staleness]
    most = max((place for c in stale for place, count in enumerate(c.staleness) if count), default=0)
    width = 0.8 / max(1, len(stale))
    for place, curve in enumerate(stale):
        total = sum(curve.staleness)
        shares = [count / total for count in curve.staleness[: most + 1]]
        at = [bucket + (place - (len(stale) - 1) / 2) * width for bucket in range(most + 1)]
        axes.bar(at, shares, width, color=MODELS[curve.model], label=curve.model)
    names = ["0", *(_range(below, bound) for below, bound in pairwise((*STALENESS_BUCKETS, None)))]
    axes.set_xticks(range(most + 1), names[: most + 1])
    axes.set_xlabel("staleness in steps")
    axes.spines[["top", "right"]].set_visible(False)


def _range(below: int | None, bound: int | None) -> str:
    assert below is not None
    return f"> {below}" if bound is None else f"{bound}" if bound == below + 1 else f"{below + 1}–{bound}"


def picture(curves: Sequence[Curve]) -> Figure:
    """Return accuracy over time and, below, staleness: equal workers on the left, one slow worker on the right."""
    figure = Figure(figsize=(11, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, sharex="row", sharey="row", squeeze=False)
    for column, (slow, title) in enumerate(((False, "equal workers"), (True, "one of four at a quarter of the speed"))):
        chosen = [curve for curve in curves if curve.slow is slow]
        axes[0][column].set_title(title)
        draw_accuracy(axes[0][column], chosen)
        draw_staleness(axes[1][column], chosen)
    axes[0][0].set_ylabel("accuracy on the held-out part")
    axes[1][0].set_ylabel("share of the gradients")
    figure.legend(*axes[0][1].get_legend_handles_labels(), loc="outside upper center", ncols=len(MODELS), frameon=False)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", metavar="MODEL", nargs="*", help=f"of {', '.join(map(repr, MODELS))} (default all)")
    parser.add_argument("-o", "--output", metavar="PICTURE", type=Path, help="file for the picture, .png or .svg")
    parser.add_argument("--milliseconds", type=float, default=5.0, help="time of a microbatch (default %(default)s)")
    parser.add_argument("--epochs", type=int, help="instead of those in the job files")
    parser.add_argument("--seed", type=int, help="instead of that in the job files")
    parser.add_argument("--slow", action="store_true", help="only with the slow worker, without the table")
    parser.add_argument("--json", action="store_true", help="print the curves, one JSON object a line")
    options = parser.parse_args(arguments)
    if unknown := set(options.models) - MODELS.keys():
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    curves = []
    for model in options.models or MODELS:
        for slow in (True,) if options.slow else (False, True):
            spec = job(model, epochs=options.epochs, seed=options.seed)
            curves.append(learn(model, spec, options.milliseconds, slow=slow))
            if options.json:
                print(json.dumps(asdict(curves[-1])), flush=True)
    if not options.json and not options.slow:
        print("\n".join(table(curves)))
    if options.output is not None:
        picture(curves).savefig(options.output)


if __name__ == "__main__":
    main()
