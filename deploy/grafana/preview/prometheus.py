"""Asking a Prometheus, over its HTTP API."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class PrometheusError(Exception):
    """It cannot be reached, or does not understand."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is looked at: from `start` to `end` (seconds since the epoch), a value every `step` seconds."""

    start: float
    end: float
    step: float

    @property
    def times(self) -> Floats:
        """When there may be values."""
        return np.arange(int((self.end - self.start) / self.step) + 1, dtype=np.float64) * self.step + self.start


@dataclass(frozen=True, slots=True)
class Series:
    """One series: values (float64) at times of a window, NaN where there are none. `name` is what a legend says."""

    labels: Mapping[str, str]
    times: Floats
    values: Floats
    name: str = ""

    @property
    def newest(self) -> float | None:
        """The last value that is one."""
        present = self.values[~np.isnan(self.values)]
        return float(present[-1]) if len(present) else None


class Prometheus:
    """A server at a URL. Methods raise PrometheusError."""

    def __init__(self, url: str, timeout_seconds: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout_seconds

    def instant(self, expression: str, at: float) -> list[Series]:
        """The value of each series at one time."""
        answer = self._ask("query", query=expression, time=f"{at:.3f}")
        results = answer["result"] if answer["resultType"] == "vector" else []
        return [_series(result["metric"], [result["value"]], None) for result in results]

    def over(self, expression: str, window: Window) -> list[Series]:
        """Each series over a window."""
        times = {"start": f"{window.start:.3f}", "end": f"{window.end:.3f}", "step": f"{window.step:.3f}"}
        answer = self._ask("query_range", query=expression, **times)
        return [_series(result["metric"], result["values"], window) for result in answer["result"]]

    def _ask(self, what: str, **parameters: str) -> Any:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=self._timeout) as response:  # noqa: S310
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{parameters['query']}: {_reason(error)}") from error
        except (OSError, ValueError) as error:
            raise PrometheusError(f"no Prometheus at {self._url}: {error}") from error
        return answer["data"]


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError):
        return str(error)


def _series(labels: Mapping[str, str], found: list[tuple[float, str]], window: Window | None) -> Series:
    times = np.array([time for time, _ in found])
    values = np.array([float(value) for _, value in found])
    if window is None:
        return Series(labels, times, values)
    whole = np.full(len(window.times), np.nan)
    whole[np.rint((times - window.start) / window.step).astype(int)] = values
    return Series(labels, window.times, whole)
