"""docs/determinism.md states for every part of a job whether the weights depend on it."""

import re
from pathlib import Path

import pytest

from raydient.spec.dataset import Dataset
from raydient.spec.job import JobSpec
from raydient.spec.training import Training

PAGE = Path(__file__).parents[2] / "docs" / "determinism.md"


@pytest.mark.parametrize("model", [JobSpec, Dataset, Training])
def test_the_table_names_every_field(model):
    _, _, section = PAGE.read_text(encoding="utf-8").partition("## What is an input and what is not")
    table = section.partition("\n## ")[0]
    named = {part for code in re.findall(r"`([\w.]+)`", table) for part in code.split(".")}
    assert set(model.model_fields) <= named
