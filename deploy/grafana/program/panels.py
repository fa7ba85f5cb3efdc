"""The kinds of panel that the dashboards are made of, each with title, description and unit.

Sizes are in cells of Grafana's grid, which is 24 wide.
"""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import DashboardRangeMapOptions as RangeMapOptions
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColorModeId,
    RangeMap,
    Threshold,
    ThresholdsMode,
    ValueMappingResult,
)

from .queries import SOURCE, query

Queries = Sequence[prometheus.Dataquery]
Steps = Sequence[tuple[float | None, str]]
"""Thresholds: values at which a colour begins, and the colours; the first has no value and begins at the bottom."""


def thresholds(steps: Steps) -> builders.ThresholdsConfig:
    """Return the colours by value."""
    config = builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    return config.steps([Threshold(value, color) for value, color in steps])


def by_threshold() -> builders.FieldColor:
    """Return the colour scheme that follows the thresholds."""
    return builders.FieldColor().mode(FieldColorModeId.THRESHOLDS)


def log_scale() -> common.ScaleDistributionConfig:
    """Return a logarithmic axis to base 10."""
    return common.ScaleDistributionConfig().type(kinds.ScaleDistribution.LOG).log(10)


def fixed(color: str) -> list[DynamicConfigValue]:
    """Return the properties of an override that gives a series one colour."""
    return [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})]


def lines(
    title: str,
    description: str,
    unit: str,
    queries: Queries,
    *,
    width: int = 12,
    height: int = 8,
    colors: Mapping[str, str] | None = None,
    steps: Steps | None = None,
) -> timeseries.Panel:
    """Return a panel with series over time. `colors` by legend; `steps` are drawn as dashed lines across."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .targets(list(queries))
        .line_width(2)
        .fill_opacity(0)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(kinds.LegendDisplayMode.LIST)
            .placement(kinds.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    )
    for name, color in (colors or {}).items():
        panel = panel.override_by_name(name, fixed(color))
    if steps is not None:
        dashed = common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(thresholds(steps)).thresholds_style(dashed)
    return panel


def powers(panel: timeseries.Panel) -> timeseries.Panel:
    """Give a panel a logarithmic axis and return it."""
    return panel.scale_distribution(log_scale())


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack the series of a panel and return it."""
    pile = common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A")
    return panel.stacking(pile).fill_opacity(60).line_width(1).min(0)


def stairs(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw the series of a panel as stairs, for counts that jump, and return it."""
    return panel.line_interpolation(kinds.LineInterpolation.STEP_AFTER).decimals(0).min(0)


def bars(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw the series of a panel as bars, for numbers of events in each interval, and return it."""
    return panel.draw_style(kinds.GraphDrawStyle.BARS).fill_opacity(80).line_width(1).min(0)


def number(
    title: str,
    description: str,
    unit: str,
    expression: str,
    *,
    width: int = 3,
    height: int = 4,
    steps: Steps = ((None, "text"),),
    nothing: str = "no data",
    now: bool = False,
) -> stat.Panel:
    """Return a panel with the newest value in large print, coloured by `steps`; `nothing` is shown if there is none.

    Newest within the time range, or with `now` at its end only.
    """
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .with_target(query(expression, title, instant=now))
        .reduce_options(newest())
        .thresholds(thresholds(steps))
        .color_scheme(by_threshold())
        .color_mode(kinds.BigValueColorMode.VALUE)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .no_value(nothing)
    )


def tile(panel: stat.Panel) -> stat.Panel:
    """Fill a panel with its colour, for the values to see first, and return it."""
    return panel.color_mode(kinds.BigValueColorMode.BACKGROUND_SOLID)


def words(panel: stat.Panel, ranges: Mapping[tuple[float, float], str]) -> stat.Panel:
    """Show the number of a panel as words, by the range in which it lies, and return the panel."""
    return panel.mappings(
        [
            RangeMap(RangeMapOptions(low, high, ValueMappingResult(text=text, index=index)))
            for index, ((low, high), text) in enumerate(ranges.items())
        ]
    )


def named(panel: stat.Panel, queries: Queries, colors: Mapping[str, str]) -> stat.Panel:
    """Turn a panel into tiles with the names of its series instead of values, coloured by name, else red."""
    panel = panel.targets(list(queries)).text_mode(kinds.BigValueTextMode.NAME).thresholds(thresholds([(None, "red")]))
    for name, color in colors.items():
        panel = panel.override_by_name(name, fixed(color))
    return tile(panel)


def gauge(title: str, description: str, unit: str, queries: Queries, *, width: int, height: int) -> bargauge.Panel:
    """Return a panel with the newest value of each series as a bar from 0 to 1."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .targets(list(queries))
        .min(0)
        .max(1)
        .reduce_options(newest())
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .display_mode(kinds.BarGaugeDisplayMode.BASIC)
        .thresholds(thresholds([(None, "green")]))
        .color_scheme(by_threshold())
    )


def newest() -> common.ReduceDataOptions:
    """Return the options that reduce a series to its last value that is not null."""
    return common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)
