"""Write the made data of the examples, `sequences.csv`, `flats.csv`, ...: `python examples/make_data.py`.

The same files every time, on any machine: Python guarantees what `random.Random(seed).random()` gives.
"""

import csv
import math
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LENGTH = 20
MARKS = "AB"
"""The symbols 0 and 1; 2 to 5 are noise."""
NOISE = (2, 3, 4, 5)

DISTRICTS = {
    "airport": 1.6,
    "canal": 3.4,
    "castle": 4.6,
    "docks": 2.9,
    "fairground": 2.0,
    "garden": 3.7,
    "hill": 4.2,
    "market": 3.9,
    "mill": 2.5,
    "station": 2.3,
    "tower": 3.1,
    "university": 3.6,
}
"""Thousands for a square metre."""
KINDS = {"attic": 0.85, "flat": 1.0, "house": 1.25, "studio": 1.1}
SOUGHT_AFTER = {("docks", "attic"), ("tower", "attic"), ("airport", "house"), ("station", "studio")}
"""Pairs that are worth half as much again: what neither column tells alone."""
BANDS = ((150, "low"), (280, "middle"), (math.inf, "high"))

WINDOW = 20
"""Characters of a row of the text."""
ARTICLES = ("a", "the")
ADJECTIVES = ("old", "quick", "red", "small")
NOUNS = ("bird", "cat", "child", "dog", "robot")
DISHES = ("bread", "cake", "coffee", "fish", "rice", "salad", "soup", "tea")
OPINIONS = (("awful", "bad", "cold", "stale"), ("delicious", "fine", "fresh", "great"))
"""Words of blame, and of praise."""
VERBS = ("follows", "hears", "likes", "sees")


def sequences(rows: int, generator: random.Random) -> Iterable[Sequence[object]]:
    """Two marks somewhere in noise, and in which order they come: the temporal order problem of Hochreiter and
    Schmidhuber (1997), shorter.
    """
    yield [*(f"symbol_{n}" for n in range(1, LENGTH + 1)), "order"]
    for _ in range(rows):
        symbols = [pick(NOISE, generator) for _ in range(LENGTH)]
        first = int(generator.random() * LENGTH)
        second = (first + 1 + int(generator.random() * (LENGTH - 1))) % LENGTH
        marks = [pick((0, 1), generator) for _ in range(2)]
        for place, mark in zip(sorted((first, second)), marks, strict=True):
            symbols[place] = mark
        yield [*symbols, "".join(MARKS[mark] for mark in marks)]


def flats(rows: int, generator: random.Random) -> Iterable[Sequence[object]]:
    """Prices (thousands) by district and kind, two columns with categories, and by area and age, with 2 % of noise."""
    yield ["district", "kind", "area", "age", "price", "band"]
    for _ in range(rows):
        district, kind = pick(list(DISTRICTS), generator), pick(list(KINDS), generator)
        area, age = 25 + 95 * generator.random(), 80 * generator.random()
        factor = KINDS[kind] * (1.5 if (district, kind) in SOUGHT_AFTER else 1) * (1 - 0.004 * age)
        noise = sum(generator.random() for _ in range(12)) - 6  # about normal, of variance 1
        price = DISTRICTS[district] * area * factor * (1 + 0.02 * noise)
        band = next(name for limit, name in BANDS if price < limit)
        yield [district, kind, f"{area:.0f}", f"{age:.0f}", f"{price:.1f}", band]


def characters(rows: int, generator: random.Random) -> Iterable[Sequence[object]]:
    """Windows of a text of random sentences, with an underscore for a space; then the character after each of them."""
    yield [*(f"c{n}" for n in range(1, WINDOW + 1)), *(f"next{n}" for n in range(1, WINDOW + 1))]
    text = ""
    while len(text) <= rows * WINDOW:
        phrases = [[pick(words, generator) for words in (ARTICLES, ADJECTIVES, NOUNS)] for _ in range(2)]
        text += "_".join([*phrases[0], pick(VERBS, generator), *phrases[1]]) + "._"
    for start in range(0, rows * WINDOW, WINDOW):
        yield [*text[start : start + WINDOW], *text[start + 1 : start + WINDOW + 1]]


def reviews(rows: int, generator: random.Random) -> Iterable[Sequence[object]]:
    """Sentences of one to three clauses about a meal; what counts is said after the last `but`, if there is one."""
    yield ["review", "verdict"]
    for _ in range(rows):
        text, is_good = "", True
        for number in range(1 + int(3 * generator.random())):
            is_praise, is_negated = generator.random() < 0.5, generator.random() < 0.3
            link = "" if not number else pick((" and ", ", but "), generator)
            is_good = is_praise is not is_negated if link != " and " else is_good
            if link == " and ":
                is_praise = is_good is not is_negated
            words = [pick(DISHES, generator), "was not" if is_negated else "was", pick(OPINIONS[is_praise], generator)]
            text += f"{link}the {' '.join(words)}"
        yield [f"{text[0].upper()}{text[1:]}.", "good" if is_good else "bad"]


def pick(choices: Sequence[T], generator: random.Random) -> T:
    """One of them, all equally likely."""
    return choices[int(generator.random() * len(choices))]


def write(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main(folder: Path) -> None:
    write(folder / "sequences.csv", sequences(3000, random.Random(1)))
    write(folder / "flats.csv", flats(3000, random.Random(2)))
    write(folder / "characters.csv", characters(900, random.Random(3)))
    write(folder / "reviews.csv", reviews(600, random.Random(4)))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
