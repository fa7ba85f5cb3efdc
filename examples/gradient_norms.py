"""Train jobs and draw what their layers' gradients did: `gradient_norms.py JOB.yaml ... -o PICTURE.png`.

Needs raydient with its extras `server` and `plot`. One picture a job, side by side on the same scale: a line for each
layer, the norm of its gradient over the epochs. What is drawn is raydient's own measurement, gradient health.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from raydient.server.embedded import train
from raydient.server.training.reports import EpochEnded, Progress, Report
from raydient.spec.job import Monitoring
from raydient.spec.reading import read_job_file
from raydient.steps.measurements import GradientHealth


@dataclass
class Norms:
    """Gradient norms of a job by layer, in the order of the network, at the last step of each epoch.

    Attributes:
        title: the job's name.
        layers: one value per epoch.
        measured: loss and other metrics of the training part in the last epoch.
    """

    title: str
    layers: dict[str, list[float]] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    _newest: GradientHealth | None = None

    def hear(self, report: Report) -> None:
        """A training run tells something."""
        match report:
            case Progress():
                self._newest = report.measurements.gradient_health
            case EpochEnded():
                assert self._newest is not None
                assert self._newest.step == report.step, "an epoch's last step is measured and told before its end"
                for layer in self._newest.layers:
                    if layer.gradient_norm is not None:
                        self.layers.setdefault(layer.layer, []).append(layer.gradient_norm)
                self.measured = dict(report.metrics["train"])


def measure(path: Path) -> Norms:
    """Train a job file whose data is on this machine, measuring every step."""
    spec = read_job_file(path).model_copy(update={"monitoring": Monitoring(gradient_health_every=1)})
    norms = Norms(spec.display_name or path.stem)
    with tempfile.TemporaryDirectory() as directory:
        train(spec, path.parent / spec.dataset.uri, directory=Path(directory), report=norms.hear)
    return norms


def draw(axes: Axes, norms: Norms) -> None:
    """One line a layer, from dark at the input to bright at the output."""
    colors = mpl.colormaps["viridis"].resampled(len(norms.layers) + 1)
    for place, (layer, values) in enumerate(norms.layers.items()):
        axes.plot(range(1, len(values) + 1), values, color=colors(place), label=layer)
    measured = ", ".join(f"{name} {value:.3g}" for name, value in norms.measured.items())
    axes.set_title(f"{norms.title}\n{measured} at the end", fontsize=11)
    axes.set_xlabel("epoch")
    axes.set_yscale("log")
    axes.grid(visible=True, axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)


def picture(jobs: Sequence[Norms]) -> Figure:
    """The jobs side by side."""
    figure = Figure(figsize=(4.6 * len(jobs) + 1.2, 4.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    row = figure.subplots(1, len(jobs), sharey=True, squeeze=False)[0]
    for axes, norms in zip(row, jobs, strict=True):
        draw(axes, norms)
    row[0].set_ylabel("norm of the layer's gradient")
    handles, labels = row[0].get_legend_handles_labels()
    labels[0] += " (input)"
    labels[-1] += " (output)"
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description="Train jobs and draw the norms of their layers' gradients.")
    parser.add_argument("jobs", metavar="JOB.yaml", nargs="+", type=Path)
    parser.add_argument("-o", "--output", metavar="PICTURE", type=Path, required=True)
    arguments = parser.parse_args()
    picture([measure(job) for job in arguments.jobs]).savefig(arguments.output)


if __name__ == "__main__":
    main()
