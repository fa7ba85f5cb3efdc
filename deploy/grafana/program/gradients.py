"""The dashboard *Gradient health*: how much every layer learns.

A vanishing gradient has to be seen at a glance: the verdict in words on top, below it a staircase that falls from the
output's layer to the input's, and a heat map whose lower rows are dark.
"""

from math import log10

from grafana_foundation_sdk.builders import barchart, common, heatmap
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import Panel
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale

from .frame import GRADIENT_HEALTH, JOB, deep_link, frame, section
from .panels import bars, by_threshold, lines, log_scale, number, powers, thresholds, tile, words
from .queries import SOURCE, query, series, table_query, training_job_variable

NORM = series("raydient_job_gradient_norm")
RATIO = f"{NORM} / on (training_job, instance) group_left () max by (training_job, instance) ({NORM})"
"""Norm of each layer over that of the layer with the largest."""

WEAK, VANISHING = 1e-2, 1e-3
"""Shares of the largest layer's norm below which a layer learns slowly, and hardly at all: there the alert fires."""
LARGE_UPDATE, USUAL_UPDATE = 0.2, 1e-3
"""Shares of its weights that an update changes: at the first the alert of an exploding gradient fires."""
DEAD = 0.5
"""Share of dead units at which the alert fires."""
SMALLEST = 1e-12
"""Norms below it are drawn as it: zero has no logarithm."""


def gradient_health() -> Dashboard:
    """Return the dashboard; its section is repeated for each chosen training job."""
    about = (
        "Gradients of a training job by layer, measured every few steps on the aggregated gradient. Layers stand in "
        "the network's order, the input's first."
    )
    dashboard = frame(GRADIENT_HEALTH, about, training_job_variable(), period="30m")
    panels = [*_verdict(), _staircase(), _heat_map(), *_over_time()]
    return section(dashboard, "${training_job:text}: gradients by layer", panels, repeat="training_job")


def _in_order(values: str) -> str:
    """Return the series of each layer, labelled with its place in the network and its name: sorted by place."""
    place = series("raydient_job_layer_info")
    placed = f"({values}) * on (training_job, instance, layer) group_left (position) {place}"
    return f'max by (place) (label_join({placed}, "place", " ", "position", "layer"))'


def _verdict() -> list[Builder[Panel]]:
    spread = f"log10(max({NORM}) / clamp_min(min({NORM}), {SMALLEST}))"
    weak = f"count({RATIO} < {VANISHING}) or 0 * count({NORM})"
    green = (None, "green")
    powers_of_ten = [green, (-log10(WEAK), "orange"), (-log10(VANISHING), "red")]
    return [
        words(
            tile(
                number(
                    "Do gradients vanish?",
                    "By how many powers of ten the weakest layer's gradient is below the strongest's: from 2 on it "
                    "learns slowly, from 3 on hardly at all, and the alert RaydientGradientVanishing fires.",
                    *("none", spread),
                    width=5,
                    steps=powers_of_ten,
                ),
            ),
            {(-1, 2): "no", (2, 3): "weak layers", (3, 1000): "vanishing"},
        ),
        number(
            *("Powers of ten apart", "Largest norm over smallest, as a logarithm.", "none", spread),
            width=4,
            steps=powers_of_ten,
        ).decimals(1),
        number(
            "Layers not reached",
            f"Their norm is below {VANISHING:g} of the largest layer's.",
            *("none", weak),
            steps=[green, (1, "red")],
        ),
        number(
            *("Largest norm", "Of all layers; a healthy one stays in its power of ten.", "sci", f"max({NORM})"),
            steps=[green, (1e2, "orange"), (1e4, "red")],
        ).decimals(1),
        number(
            "Dead units",
            "Of the layer that has most: units whose output was zero for every sample.",
            *("percentunit", f"max({series('raydient_job_dead_units_ratio')})"),
            steps=[green, (DEAD / 2, "orange"), (DEAD, "red")],
            nothing="no such layer",
        ),
        tile(
            number(
                "Not finite",
                "Values of the gradient that are NaN or infinite.",
                *("none", f"sum({series('raydient_job_non_finite_values')})"),
                steps=[green, (1, "red")],
            )
        ),
        number("Measured at step", "When the layers were measured last.", "none", series("raydient_job_health_step")),
    ]


def _staircase() -> barchart.Panel:
    return (
        barchart.Panel()
        .title("How much of the gradient reaches each layer")
        .description(
            "Newest norm of each layer over the largest layer's, from the input's layer on the left to the output's on "
            "the right, in powers of ten. Level bars: every layer learns. A staircase that falls to the left: the "
            "gradient vanishes on its way back."
        )
        .unit("sci")
        .decimals(1)
        .datasource(SOURCE)
        .span(12)
        .height(10)
        .with_target(table_query(_in_order(f"clamp_min({RATIO}, {SMALLEST})")))
        .x_field("place")
        .orientation(kinds.VizOrientation.VERTICAL)
        .scale_distribution(log_scale())
        .min(1e-8)
        .max(1)
        .show_value(kinds.VisibilityMode.ALWAYS)
        .bar_width(0.9)
        .x_tick_label_rotation(-45)
        .fill_opacity(90)
        .thresholds(thresholds([(None, "red"), (VANISHING, "orange"), (WEAK, "green")]))
        .color_scheme(by_threshold())
        .legend(common.VizLegendOptions().show_legend(False))
    )


def _heat_map() -> heatmap.Panel:
    return (
        heatmap.Panel()
        .title("Gradient norm by layer and time")
        .description(
            "Logarithm to base 10 of each layer's norm: -3 is a norm of 0.001. The input's layer is the lowest row. "
            "Colours mean the same for all jobs."
        )
        .unit("none")
        .decimals(1)
        .datasource(SOURCE)
        .span(12)
        .height(10)
        .with_target(query(f"log10({_in_order(f'clamp_min({NORM}, {SMALLEST})')})", "{{place}}"))
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Inferno")
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(1)
            .steps(64)
            .min(-8)
            .max(1)
        )
        .filter_values(heatmap.FilterValueRange().le(-1000))  # by default it hides what is not positive
        .show_legend()
    )


def _lines_of(metric: str) -> list[Dataquery]:
    return [query(_in_order(series(metric)), "{{place}}")]


def _over_time() -> list[Builder[Panel]]:
    back = deep_link("The job", JOB, "${training_job}")
    return [
        powers(
            lines(
                "Gradient norm by layer",
                "Euclidean norm of the aggregated gradient of a layer's parameters. Lines that run apart, the first "
                "layers' at the bottom, vanish; lines that rise together by powers of ten explode.",
                "sci",
                _lines_of("raydient_job_gradient_norm"),
                height=9,
            ).links([back])
        ),
        powers(
            lines(
                "Update over weight by layer",
                "Norm of an update over the norm of the weights that it changes. Around 0.001 (dashed, green) "
                "is usual; far below, the layer stands still; above 0.2 (red) the rate is too large.",
                "sci",
                _lines_of("raydient_job_update_ratio"),
                height=9,
                steps=[(None, "transparent"), (USUAL_UPDATE, "green"), (LARGE_UPDATE, "red")],
            )
        ),
        lines(
            "Dead units by layer",
            "Share of a layer's units whose output was zero for every sample. What is dead in ReLU layers gets no "
            "gradient and stays dead.",
            "percentunit",
            _lines_of("raydient_job_dead_units_ratio"),
        )
        .no_value("no such layer")
        .min(0)
        .max(1),
        bars(
            lines(
                "Values that are not finite by layer",
                "Values of the aggregated gradient that are NaN or infinite. The job fails for them, with the step.",
                "none",
                _lines_of("raydient_job_non_finite_values"),
            )
        ).decimals(0),
    ]
