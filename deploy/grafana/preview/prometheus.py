"""Queries to a Prometheus server over its HTTP API."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class PrometheusError(Exception):
    """Prometheus cannot be reached or refuses a query."""


@dataclass(frozen=True, slots=True)
class Window:
    """The times from `start` to `end` (seconds since the epoch), every `step` seconds."""

    start: float
    end: float
    step: float

    @property
    def clock(self) -> pd.DatetimeIndex:
        """The times at which a range query may have values."""
        return pd.to_datetime(np.arange(self.start, self.end + 0.001, self.step), unit="s")


@dataclass(frozen=True, slots=True)
class Series:
    """One series. `values`: float64, at the times of a window (NaN in gaps) or the single one of an instant query."""

    labels: Mapping[str, str]
    values: NDArray[np.float64]
    name: str = ""

    @property
    def newest(self) -> float | None:
        """The last value that is a number, None if there is none."""
        present = self.values[~np.isnan(self.values)]
        return float(present[-1]) if len(present) else None


class Prometheus:
    """A server at a URL."""

    def __init__(self, url: str, timeout_seconds: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout_seconds

    def ask(self, query: str, window: Window, *, instant: bool = False) -> list[Series]:
        """Return the series of a query over a window, or at its end alone. Raises PrometheusError."""
        times = {"time": window.end} if instant else {"start": window.start, "end": window.end, "step": window.step}
        parameters = {"query": query, **{name: f"{time:.3f}" for name, time in times.items()}}
        method = "query" if instant else "query_range"
        url = f"{self._url}/api/v1/{method}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=self._timeout) as response:  # noqa: S310
                result = json.load(response)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{query}: {error.read().decode(errors='replace')}") from error
        except (OSError, ValueError) as error:
            raise PrometheusError(f"no Prometheus at {self._url}: {error}") from error
        if instant:
            return [Series(item["metric"], np.array([float(item["value"][1])])) for item in result]
        grid = np.full((len(result), len(window.clock)), np.nan)
        for row, item in zip(grid, result, strict=True):
            for time, value in item["values"]:
                row[round((time - window.start) / window.step)] = float(value)
        return [Series(item["metric"], row) for row, item in zip(grid, result, strict=True)]
