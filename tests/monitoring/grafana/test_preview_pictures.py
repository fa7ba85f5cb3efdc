"""The pictures: every panel of every dashboard is drawn, and shows what Prometheus said."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from deploy.grafana.lint.queries import panels
from deploy.grafana.preview.drawing import COLORS, DRAWN, joined, words
from deploy.grafana.preview.page import ask, picture
from deploy.grafana.preview.prometheus import Series, Window

WINDOW = Window(1_700_000_000.0, 1_700_000_300.0, 5.0)
VALUES = {"training_job": "0a", "job": ".+", "instance": ".+", "__rate_interval": "20s", "__range": "300s"}


class Canned:
    """A Prometheus that answers every question with the same series, and remembers the questions."""

    def __init__(self, *series):
        self.series = series
        self.asked = []

    def ask(self, query, window, *, instant=False):
        self.asked.append(query)
        length = 1 if instant else len(window.clock)
        return [
            Series(labels, np.resize(np.asarray(values[::-1] if instant else values, float), length))
            for labels, values in self.series
        ]


def layer(number, *values):
    place = f"{number:02} dense_{number}"
    job = {"training_job": "0a", "name": "digits · 0a", "display_name": "digits", "state": "running", "split": "train"}
    return {"place": place, "layer": place[3:], "job": "raydient", "instance": "i", **job}, values


def drawn(panel, *series):
    """The axes with one panel on it, of a canned answer."""
    axes = Figure(figsize=(6, 4)).add_axes((0.1, 0.1, 0.8, 0.8))
    DRAWN[panel["type"]](axes, panel, ask(panel, Canned(*series), WINDOW, VALUES), WINDOW)
    return axes


def of(dashboard, title):
    return next(panel for panel in panels(dashboard) if panel["title"] == title)


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("service", []),
        ("service", [layer(1, np.nan, 1e-5), layer(2, 0.5, 3.0)]),
        ("job", [layer(1, 0.0)]),
        ("gradient-health", [layer(1, 0.0)]),
        ("gradient-health", [layer(1, np.nan, 1e-5), layer(2, 0.5, 3.0)]),
    ],
)
def test_every_dashboard_is_drawn(committed, name, series, tmp_path):
    prometheus = Canned(*series)
    figure = picture(committed[name], prometheus, WINDOW, 5.0)
    figure.savefig(tmp_path / "picture.png")

    shown = {text.get_text() for text in figure.texts}
    assert {panel["title"] for panel in panels(committed[name])} <= shown
    assert any("not a screenshot" in text for text in shown)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert not [text for text in prometheus.asked if re.search(r"\$[a-z_{]", text)]


def test_every_kind_of_panel_can_be_drawn(committed):
    assert {panel["type"] for dashboard in committed.values() for panel in panels(dashboard)} == set(DRAWN)


def test_queries_get_the_chosen_job_and_the_interval_of_rates(committed):
    prometheus = Canned(layer(1, 0.5))
    picture(committed["job"], prometheus, WINDOW, 5.0, "digits")

    chosen = '{job=~".+", instance=~".+", training_job=~"0a"}'
    assert f"raydient_job_loss{chosen}" in prometheus.asked
    assert f"sum(rate(raydient_job_samples_total{chosen}[20s]))" in prometheus.asked
    assert any(text.endswith("[300s]))") for text in prometheus.asked)


def test_a_vanishing_gradient_is_seen(committed):
    dashboard = committed["gradient-health"]
    assert texts(drawn(of(dashboard, "Do gradients vanish?"), ({}, [5.0]))) == ["vanishing"]
    assert texts(drawn(of(dashboard, "Do gradients vanish?"), ({}, [2.5]))) == ["weak layers"]
    assert texts(drawn(of(dashboard, "Do gradients vanish?"), ({}, [0.5]))) == ["no"]

    bars = drawn(of(dashboard, "How much of the gradient reaches each layer"), layer(2, 1.0), layer(1, 1e-6))
    assert [label.get_text() for label in bars.get_xticklabels()] == ["01 dense_1", "02 dense_2"]
    assert [to_hex(bar.get_facecolor()) for bar in bars.patches] == [COLORS["red"], COLORS["green"]]
    assert bars.get_yscale() == "log"
    assert [bar.get_y() + bar.get_height() for bar in bars.patches] == pytest.approx([1e-6, 1.0])


def test_rows_of_a_heat_map_rise_with_the_network(committed):
    axes = drawn(of(committed["gradient-health"], "Gradient norm by layer and time"), layer(1, -6.0), layer(2, -1.0))

    assert [label.get_text() for label in axes.get_yticklabels()] == ["01 dense_1", "02 dense_2"]
    cells = axes.collections[0]
    assert cells.get_array().reshape(2, -1)[:, 0].tolist() == [-6.0, -1.0]
    assert cells.get_clim() == (-8, 1)


def test_lines_have_the_names_and_colours_of_their_series(committed):
    axes = drawn(of(committed["job"], "Loss"), ({"split": "train"}, [2.0]), ({"split": "test"}, [1.0]))

    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "test"]
    assert [line.get_color() for line in axes.lines[:2]] == [COLORS["blue"], COLORS["orange"]]
    assert axes.lines[0].get_ydata().tolist() == [2.0] * 61


def test_zero_has_no_place_among_powers_of_ten(committed):
    axes = drawn(of(committed["gradient-health"], "Gradient norm by layer"), layer(1, 0.0, 1e-3))

    assert np.isnan(axes.lines[0].get_ydata()[0])
    assert axes.get_yscale() == "log"


def test_states_are_shown_by_name(committed):
    assert texts(drawn(of(committed["job"], "State"), ({"state": "failed", "reason": "NON_FINITE"}, [1.0]))) == [
        "failed",
        "NON_FINITE",
    ]


@pytest.mark.parametrize(("title", "said"), [("Longest wait", "nothing waits"), ("Running", "no data")])
def test_a_panel_without_data_shows_its_text(committed, title, said):
    assert texts(drawn(of(committed["service"], title))) == [said]


def test_a_table_has_a_row_for_each_job(committed):
    a, b = {"training_job": "a"}, {"training_job": "b"}
    panel = of(committed["service"], "Jobs, with those that ended a short while ago")

    series = {
        "info": [({**a, "display_name": "x"}, [1]), ({**b, "display_name": "y"}, [1])],
        "state": [({**a, "state": "queued"}, [1]), ({**b, "state": "running"}, [1])],
        "progress": [(b, [0.5])],
        "loss": [(b, [0.25])],
        "workers": [(b, [2])],
    }
    answers = [[Series(labels, np.array(value, float)) for labels, value in rows] for rows in series.values()]
    axes = Figure(figsize=(9, 3)).add_axes((0, 0, 1, 1))
    DRAWN["table"](axes, panel, answers, WINDOW)
    [drawn] = axes.tables
    cells = {place: cell.get_text().get_text() for place, cell in drawn.get_celld().items()}
    assert [[cells[row, column] for column in range(6)] for row in range(3)] == [
        ["Job", "State", "Progress", "Loss", "Workers", "Id"],
        ["y", "running", "50 %", "0.25", "2", "b"],
        ["x", "queued", "", "", "", "a"],
    ]


def test_rows_that_contradict_each_other_stay_apart():
    states = [Series({"training_job": "a", "state": state}, np.array([1.0])) for state in ("x", "y")]

    assert joined([states])["state"].tolist() == ["x", "y"]


def test_a_value_outside_all_mapped_ranges_is_shown_as_it_is(committed):
    panel = of(committed["gradient-health"], "Powers of ten apart")

    assert words(4.96, panel["fieldConfig"]["defaults"]) == "5.0"
