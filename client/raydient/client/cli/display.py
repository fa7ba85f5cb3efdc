"""Progress on standard error: a bar on a terminal, otherwise one line per epoch."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from raydient.spec.errors import WARNING
from raydient.spec.printable import printable_lines

from .output import echo

if TYPE_CHECKING:
    from raydient.client.events import Event
    from raydient.server.training.reports import Report

Metrics = Mapping[str, Mapping[str, float]]
"""By split (`train`, `test`), then by name (`loss`, `accuracy`)."""


class Display(Protocol):
    """Shows the progress of a job."""

    def progress(self, step: int, steps: int, loss: float, samples_per_second: float) -> None:
        """Show the progress within an epoch."""

    def epoch(self, epoch: int, epochs: int, metrics: Metrics, seconds: float) -> None:
        """Show a complete epoch; `epochs` is their total number, 0 if unknown."""

    def say(self, text: str) -> None:
        """Print a line."""


def notice_text(reason: str, message: str) -> str:
    """Format a notice for people."""
    return f"warning: {message}" if reason == WARNING else message


def show_report(display: Display, report: "Report", epochs: int) -> None:
    """Show a report of a run of `epochs` epochs in this process, if it is one for people."""
    from raydient.server.training import reports

    match report:
        case reports.Progress():
            display.progress(report.step, report.steps, report.measurements.loss, report.samples_per_second)
        case reports.EpochEnded():
            display.epoch(report.epoch, epochs, report.metrics, report.seconds)
        case reports.Notice():
            display.say(notice_text(report.reason, report.message))


@contextmanager
def open_display() -> Iterator[Display]:
    """Open a bar if standard error is a terminal, otherwise lines. Leaving the context removes the bar."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bar = _Bar()
    with bar.progress_bar:
        yield bar


def show(events: "Iterable[Event]", display: Display, epochs: int) -> None:
    """Show the events of a job; `epochs` is their total number, 0 if unknown."""
    from raydient.client.events import EpochEnded, Noticed, Progressed, StateChanged

    for event in events:
        match event:
            case StateChanged():
                digest = f"digest {event.digest}" if event.digest else ""
                display.say(": ".join(filter(None, (event.state, event.text, digest))))
            case Progressed():
                display.progress(event.step, event.steps, event.loss, event.samples_per_second)
            case EpochEnded():
                display.epoch(event.epoch, epochs, event.metrics, event.seconds)
            case Noticed():
                display.say(notice_text(event.reason, event.text))


def epoch_line(epoch: int, epochs: int, metrics: Metrics, seconds: float) -> str:
    """Format an epoch in one line: `epoch  3/30  loss 0.1534  test loss 0.1711  test accuracy 95.28 %  0.12 s`."""
    of_total = f"{epoch:>{len(str(epochs))}}/{epochs}" if epochs else str(epoch)
    parts = [f"epoch {of_total}"]
    for split, values in sorted(metrics.items(), key=lambda item: item[0] != "train"):
        prefix = "" if split == "train" else f"{split} "
        shown = without_repetition(values)
        names = sorted(shown, key=lambda name: (name != "loss", name))
        parts += [f"{prefix}{name} {value_text(name, shown[name])}" for name in names]
    return "  ".join([*parts, f"{seconds:.2f} s"])


def without_repetition(values: Mapping[str, float]) -> dict[str, float]:
    """Metrics without the loss of a single named output, `OUTPUT_loss`, which is the loss itself."""
    repeated = [name for name in values if name.endswith("_loss") and not name.endswith("log_loss")]
    single = repeated[0] if len(repeated) == 1 and values.get("loss") == values[repeated[0]] else None
    return {name: value for name, value in values.items() if name != single}


def value_text(name: str, value: float) -> str:
    """Format a measured value for people."""
    if name == "accuracy" or name.endswith("_accuracy"):
        return f"{100 * value:.2f} %"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.3e}"


class _Lines:
    """One line per epoch, without carriage returns and without progress within an epoch."""

    def progress(self, step: int, steps: int, loss: float, samples_per_second: float) -> None:
        pass

    def epoch(self, epoch: int, epochs: int, metrics: Metrics, seconds: float) -> None:
        self.say(epoch_line(epoch, epochs, metrics, seconds))

    def say(self, text: str) -> None:
        echo(text, err=True)


class _Bar:
    """A progress bar of steps; epochs and notices are printed above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress_bar = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4g}  {task.fields[rate]:,.0f} samples/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task = self.progress_bar.add_task("", total=None, visible=False, loss=0.0, rate=0.0)

    def progress(self, step: int, steps: int, loss: float, samples_per_second: float) -> None:
        self.progress_bar.update(
            self._task, completed=step, total=steps, visible=True, loss=loss, rate=samples_per_second
        )

    def epoch(self, epoch: int, epochs: int, metrics: Metrics, seconds: float) -> None:
        self.say(epoch_line(epoch, epochs, metrics, seconds))

    def say(self, text: str) -> None:
        self.progress_bar.console.print(printable_lines(text), markup=False, soft_wrap=True)
