"""Curves: as lists, as a table, as a picture."""

import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from raydient.client import Client, History, MissingExtra
from raydient.client.history import Point
from raydient.v1.training_job_pb2 import Metric

POINTS = [
    Point("loss", "train", 1, 10, 2.0),
    Point("loss", "test", 1, 10, 2.5),
    Point("accuracy", "test", 1, 10, 0.25),
    Point("loss", "train", 2, 20, 1.0),
    Point("loss", "test", 2, 20, 1.5),
]


def test_history_comes_from_the_service(client: Client, service) -> None:
    service.add_job()
    service.metrics["jobs/one"] = [
        Metric(name=p.name, split=p.split, epoch=p.epoch, step=p.step, value=p.value) for p in POINTS
    ]
    assert client.get("one").history().points == tuple(POINTS)


def test_curves() -> None:
    history = History(POINTS)
    assert history.metrics == ("loss", "accuracy")
    assert history.splits == ("train", "test")
    assert history.curve("loss", "train") == ([1, 2], [2.0, 1.0])
    assert history.curve("loss", "test") == ([1, 2], [2.5, 1.5])
    assert history.curve("accuracy", "train") == ([], [])
    assert History([]).curve("loss", "test") == ([], [])


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (("f1", "train"), "there is no metric 'f1' in the history; there are: loss, accuracy"),
        (("loss", "validation"), "there is no split 'validation' in the history; there are: train, test"),
    ],
)
def test_an_unknown_curve_is_an_error_with_the_names(asked, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        History(POINTS).curve(*asked)


def test_a_history_shows_its_last_epoch() -> None:
    assert repr(History(POINTS)) == "<History up to epoch 2: train loss 1, test loss 1.5>"
    assert repr(History([])) == "<History: no epoch is complete yet>"


def test_to_pandas() -> None:
    table = History(POINTS).to_pandas()
    assert table.index.name == "epoch"
    assert list(table.index) == [1, 2]
    assert list(table.columns) == ["train_loss", "test_loss", "test_accuracy"]
    assert list(table["test_loss"]) == [2.5, 1.5]
    assert table["test_accuracy"].isna().tolist() == [False, True]
    assert History([]).to_pandas().empty


def test_plot_returns_its_axes() -> None:
    mpl.use("agg")
    axes = History(POINTS).plot()
    assert [line.get_label() for line in axes.lines] == ["train", "test"]
    assert list(axes.lines[0].get_ydata()) == [2.0, 1.0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    assert History(POINTS).plot("accuracy", axes) is axes
    plt.close(axes.figure)


@pytest.mark.parametrize("module", ["pandas", "matplotlib"])
def test_a_missing_extra_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    show = {"pandas": History.to_pandas, "matplotlib": History.plot}[module]
    with pytest.raises(MissingExtra, match=r"pip install 'raydient\[plot\]'"):
        show(History(POINTS))


def test_metrics_command(run, service, tmp_path: Path) -> None:
    service.add_job()
    service.metrics["jobs/one"] = [
        Metric(name=p.name, split=p.split, epoch=p.epoch, step=p.step, value=p.value) for p in POINTS
    ]
    assert run("metrics", "one", "--csv").stdout == (
        "epoch,train_loss,test_loss,test_accuracy\n1,2.0,2.5,0.25\n2,1.0,1.5,\n"
    )
    assert run("metrics", "one").stdout.splitlines()[0].split()[:2] == ["EPOCH", "train_loss"]
    picture = tmp_path / "loss.png"
    done = run("metrics", "one", "--plot", picture)
    assert (done.exit_code, done.stdout) == (0, "")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run("metrics", "one", "--plot", tmp_path / "loss.words").exit_code == 2
    unknown = run("metrics", "one", "--plot", picture, "--metric", "beauty")
    assert unknown.exit_code == 2
    assert "there is no metric 'beauty' in the history; there are: loss, accuracy" in unknown.stderr
    service.metrics.clear()
    assert "no epoch is complete yet" in run("metrics", "one", "--plot", picture).stderr
