"""Progress: a bar on a terminal, otherwise one line per epoch."""

import io

import pytest

from raydient.client.cli.display import epoch_line, open_display, value_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


METRICS = {"test": {"loss": 0.25, "accuracy": 0.5}, "train": {"loss": 12_345_678.0}}


def test_an_epoch_is_one_line() -> None:
    line = "epoch  3/30  loss 1.235e+07  test loss 0.2500  test accuracy 50.00 %  1.50 s"
    assert epoch_line(3, 30, METRICS, 1.5) == line
    assert epoch_line(3, 0, {}, 1.5) == "epoch 3  1.50 s"


def test_a_single_named_output_has_one_loss() -> None:
    line = epoch_line(1, 2, {"train": {"loss": 0.5, "out_loss": 0.5, "out_accuracy": 0.25}}, 1.0)
    assert line == "epoch 1/2  loss 0.5000  out_accuracy 25.00 %  1.00 s"
    both = epoch_line(1, 2, {"train": {"loss": 0.75, "a_loss": 0.5, "b_loss": 0.25}}, 1.0)
    assert both == "epoch 1/2  loss 0.7500  a_loss 0.5000  b_loss 0.2500  1.00 s"
    plain = epoch_line(1, 2, {"train": {"loss": 0.5, "log_loss": 0.5}}, 1.0)
    assert plain == "epoch 1/2  loss 0.5000  log_loss 0.5000  1.00 s"


def test_shares_are_percent() -> None:
    assert value_text("accuracy", 0.5) == value_text("band_accuracy", 0.5) == "50.00 %"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.0000"), (-0.5, "-0.5000"), (1e-9, "1.000e-09"), (float("nan"), "nan")]
)
def test_values(value: float, text: str) -> None:
    assert value_text("loss", value) == text


def test_a_terminal_gets_a_bar_that_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    with open_display() as display:
        display.progress(1, 10, 0.5, 1000.0)
        display.progress(10, 10, 0.25, 1000.0)
        display.epoch(1, 30, METRICS, 1.5)
        display.say("[a worker] is gone")
    shown = terminal.getvalue()
    assert "step 10/10" in shown
    assert epoch_line(1, 30, METRICS, 1.5) + "\n" in shown, "long lines are left to the terminal to wrap"
    assert "[a worker] is gone" in shown


def test_no_colour_if_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with open_display() as display:
        display.progress(1, 10, 0.5, 1000.0)
    assert "\x1b[3" not in terminal.getvalue().replace("\x1b[?25", "")


def test_without_a_terminal_there_are_only_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with open_display() as display:
        display.progress(1, 10, 0.5, 1000.0)
        display.epoch(1, 30, METRICS, 1.5)
    out, err = capsys.readouterr()
    assert (out, err) == ("", epoch_line(1, 30, METRICS, 1.5) + "\n")
