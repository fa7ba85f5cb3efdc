"""Write the digits of `digits.csv` as a folder of PNG files, one sub-folder a digit: `python make_digits.py`."""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SIDE = 8
WHITE = 16
"""Largest value of a pixel in `digits.csv`."""


def main(folder: Path, most: int | None = None) -> None:
    """Write the first `most` digits, or all, to a folder."""
    with (HERE.parent / "digits.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    for number, row in enumerate(rows[:most]):
        values = np.array(row[:-1], np.float64).reshape(SIDE, SIDE) * 255 / WHITE
        path = folder / row[-1] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.round().astype(np.uint8)).save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "digits")
