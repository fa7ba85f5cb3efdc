"""Packages of the extras that commands and functions need. Imports none of them, so that commands start quickly."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

PACKAGES = {
    "plot": ("matplotlib",),
    "sweep": ("optuna",),
    "tensorboard": ("tensorboardX",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "local": ("onnx", "pyarrow", "threadpoolctl"),
    "server": ("onnx", "pyarrow", "sqlalchemy", "threadpoolctl"),
}
"""Packages without which nothing of an extra works, by its name."""


def missing_packages(extra: str, *further: str) -> list[str]:
    """Return the names among `PACKAGES` of an extra, and among further ones of it, that are not installed."""
    return [name for name in (*PACKAGES[extra], *further) if find_spec(name) is None]


@contextmanager
def importing(what: str, extra: str) -> Iterator[None]:
    """Raise MissingExtra, see there, if a package that is imported inside is not installed."""
    try:
        yield
    except ImportError:
        from .errors import MissingExtra

        raise MissingExtra(what, extra) from None
