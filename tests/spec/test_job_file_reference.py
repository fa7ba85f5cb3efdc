"""docs/job-file.md lists exactly the fields, defaults, ranges and options of the specification."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic.fields import FieldInfo

from raydient.spec.base import Model, OneOf
from raydient.spec.job import JobSpec
from raydient.spec.layers import Learned, Placed
from raydient.steps.schedule import default_microbatches

PAGE = (Path(__file__).parents[2] / "docs" / "job-file.md").read_text(encoding="utf-8")
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length")


@dataclass(frozen=True)
class Field:
    """A field as a row of the page shows it; paths are relative to the enclosing option."""

    path: str
    info: FieldInfo

    @property
    def bounds(self) -> set[float]:
        """Every number that bounds the field: values, lengths."""
        return {
            float(getattr(rule, bound))
            for rule in constraints(self.info)
            for bound in BOUNDS
            if getattr(rule, bound, None) is not None
        }


def constraints(part: Any) -> Iterator[Any]:
    """The rules of `Annotated[...]` and of everything inside."""
    yield from getattr(part, "metadata", None) or getattr(part, "__metadata__", ())
    for inner in get_args(getattr(part, "annotation", part)):
        yield from constraints(inner)


def models(annotation: Any) -> list[type[Model]]:
    """The models inside `Model`, `Model | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Model) else []
    return [model for part in get_args(annotation) for model in models(part)]


def walk(model: type[Model], prefix: str = "") -> Iterator[Field | str]:
    """Every field below a model and, as a text, every option."""
    for field, info in model.model_fields.items():
        name, inner = info.alias or field, models(info.annotation)
        if issubclass(model, Placed) and name in Learned.model_fields:
            yield Field(f"layer.{name}", info)  # every kind has them, and the page lists them once
        elif issubclass(model, OneOf):
            yield name
            yield from walk(inner[0], f"{name}.")
        elif not inner or issubclass(inner[0], OneOf):
            yield Field(f"{prefix}{name}", info)
            yield from (part for option in inner for part in walk(option))
        else:
            yield from walk(inner[0], f"{prefix}{name}.")


PARTS = list(walk(JobSpec))
FIELDS = {part.path: part for part in PARTS if isinstance(part, Field)}
OPTIONS = {part for part in PARTS if isinstance(part, str)}


def rows(header: str) -> dict[str, list[str]]:
    """The rows of all tables whose first column has this header: by the code in their first cell, the other cells."""
    rows_of: dict[str, list[str]] = {}
    for table in re.findall(rf"^\| {header} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE):
        for line in table.splitlines():
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            rows_of[name.strip("`")] = cells
    return rows_of


def test_the_specification_is_walked_to_its_leaves() -> None:
    assert {"dataset.split.test", "dense.units", "adam.beta_1", "constant.value", "network.layers"} <= set(FIELDS)
    assert {"relu", "he_normal", "sgd", "dense", "binary_cross_entropy"} <= OPTIONS


def test_every_field_has_a_row_and_every_row_a_field() -> None:
    assert set(rows("field")) == set(FIELDS)


def test_every_option_has_a_row_and_every_row_an_option() -> None:
    assert set(rows("option")) == OPTIONS


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_defaults(field: Field) -> None:
    documented, default = rows("field")[field.path][0], field.info.default
    if field.info.is_required():
        assert documented == "required"
    elif isinstance(default, OneOf):
        assert documented == f"`{default.kind}`"
    elif default is None:
        assert field.path == "training.microbatches" or documented in (
            "its kind and place",
            "as `pool_size`",
            "all 1",
            "none",
            "required, unless there are `outputs`",
            "by size",
            "by `padding`",
            "none",
            "the job's length",
        )
    else:
        assert json.loads(documented.strip("`")) == (list(default) if isinstance(default, tuple) else default)
        assert documented.strip("`") == documented[1:-1]


@pytest.mark.parametrize("batch_size", [1, 31, 32, 63, 64, 128, 256, 1000])
def test_the_default_of_microbatches(batch_size: int) -> None:
    formula = rows("field")["training.microbatches"][0].strip("`")
    assert eval(formula, {"batch_size": batch_size, "min": min, "max": max}) == default_microbatches(batch_size)


@pytest.mark.parametrize("field", [f for f in FIELDS.values() if f.bounds], ids=lambda field: field.path)
def test_ranges(field: Field) -> None:
    description = rows("field")[field.path][1]
    numbers = {float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", description)}
    assert numbers == field.bounds
