"""Fixtures that load a data file, and that return the errors of a bad one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydient.spec.dataset import LABEL
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Output
from raydient.workers.data import Dataset, load

Load = Callable[..., Dataset]


@pytest.fixture
def load_file(tmp_path: Path) -> Load:
    """`load_file(content, ...)`: text or bytes become data.csv, a dict of arrays data.npz; nothing is held out.

    `loss` is that of the only label, or of each by name.
    """

    def make(
        content: Any, loss: Any = "softmax_cross_entropy", name: str | None = None, seed: int = 1, **settings: Any
    ) -> Dataset:
        if isinstance(content, dict):
            path = tmp_path / (name or "data.npz")
            np.savez(path, **content)
        else:
            path = tmp_path / (name or "data.csv")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        spec = DatasetSpec.model_validate({"uri": path.name, "split": {"test": 0.0}, **settings})
        losses = {LABEL: loss} if LABEL in spec.named_labels else loss
        outputs = [Output(layer=f"predicts_{name}", label=name, loss=losses[name]) for name in spec.named_labels]
        return load(spec, path, outputs, seed)

    return make


@pytest.fixture
def errors_of(load_file: Load) -> Callable[..., list[tuple[str, str]]]:
    """As `load_file`, for a bad file: returns path and message of each error."""

    def make(*args: Any, **settings: Any) -> list[tuple[str, str]]:
        with pytest.raises(InvalidSpec) as caught:
            load_file(*args, **settings)
        return [(error.path, error.message) for error in caught.value.errors]

    return make
