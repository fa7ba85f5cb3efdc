"""A report in Chromium, light and dark, wide and narrow: `make browser`."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from raydient.client.report import Report

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
EVIL = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
CONTENT = {
    "name": "m.safetensors",
    "title": EVIL,
    "metrics": {"test": {"loss": 0.5}},
    "curves": [{"name": EVIL, "split": "test", "epochs": [1, 2], "values": [1.0, 0.5]}],
    "inputs": [
        {
            "name": "input",
            "shape": [40],
            "is_table": True,
            "kind": "number",
            "columns": [f"a_column_with_a_long_name_{number}" * 3 for number in range(40)],
            "categories": [],
            "optional": [],
            "preparation": {},
        }
    ],
    "outputs": [],
    "layers": [],
}

pytestmark = pytest.mark.browser


@pytest.fixture
def look(tmp_path: Path):
    """Returns a function that opens a report in Chromium and returns its picture, (height, width, 3) from 0 to 1."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "apt-get install chromium-headless-shell"
    page = Report(CONTENT).save(tmp_path / "report.html")

    def look(width: int, *options: str) -> np.ndarray:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", *options]
        command += [f"--screenshot={tmp_path / 'page.png'}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=60)
        return imread(tmp_path / "page.png")[..., :3]

    return look


def test_light_and_dark_and_within_its_width(look) -> None:
    light = look(900)
    assert light.mean() > 0.85
    assert light.min() < 0.3, "there is dark text"
    assert (light[:, -16:] == light[0, 0]).all(), "nothing reaches beyond the margin"
    dark = look(900, "--blink-settings=preferredColorScheme=0")
    assert dark.mean() < 0.3
    assert dark.max() > 0.8
    narrow = look(500)
    assert (narrow[:, -8:] == narrow[0, 0]).all()


def test_texts_are_no_elements(tmp_path: Path) -> None:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "apt-get install chromium-headless-shell"
    page = Report(CONTENT).save(tmp_path / "report.html")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    head, _, rest = done.stdout.partition("</title>")
    assert "&lt;script&gt;" in head
    assert "taken</title>" not in done.stdout
    assert "<script" not in rest
    assert "<img" not in rest
