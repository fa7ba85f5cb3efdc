"""A panel as its JSON says, and what its queries bring."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from deploy.grafana.lint.promql import expanded

from .prometheus import Prometheus, Series, Window


class Panel:
    """One panel. `variables` are the dashboard's: values by name, and texts to show by `name:text`."""

    def __init__(self, document: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        self._document = document
        self._variables = variables
        self.kind: str = document["type"]
        self.title = shown(document.get("title", ""), variables)
        self.grid: Mapping[str, int] = document["gridPos"]
        config = document.get("fieldConfig", {})
        self.defaults: Mapping[str, Any] = config.get("defaults", {})
        self.custom: Mapping[str, Any] = self.defaults.get("custom", {})
        self.options: Mapping[str, Any] = document.get("options", {})
        self.transformations = {t["id"]: t["options"] for t in document.get("transformations", ())}
        self._overrides = config.get("overrides", ())

    @property
    def unit(self) -> str:
        """Grafana's name of the unit."""
        return str(self.defaults.get("unit", "none"))

    @cached_property
    def thresholds(self) -> list[tuple[float, str]]:
        """From which value on which colour."""
        steps = self.defaults.get("thresholds", {}).get("steps", ())
        return [(float("-inf") if step["value"] is None else step["value"], step["color"]) for step in steps]

    def threshold_color(self, value: float) -> str:
        """Grafana's name of a value's colour."""
        return next((color for low, color in reversed(self.thresholds) if value >= low), "text")

    def override(self, name: str) -> dict[str, Any]:
        """What holds for the field of a name alone: properties by id."""
        found: dict[str, Any] = {}
        for override in self._overrides:
            if override["matcher"] == {"id": "byName", "options": name}:
                found |= {prop["id"]: prop["value"] for prop in override["properties"]}
        return found

    @property
    def log_scale(self) -> bool:
        """Whether values are drawn over powers of ten."""
        return bool(self.custom.get("scaleDistribution", {}).get("type") == "log")

    def ask(self, prometheus: Prometheus, window: Window, rate_seconds: float) -> list[list[Series]]:
        """The series that each query brings, in the order of the queries."""
        times = {"__rate_interval": f"{round(rate_seconds)}s", "__range": f"{round(window.end - window.start)}s"}
        values = {**self._variables, **times}
        answers = []
        for target in self._document.get("targets", ()):
            text = expanded(target["expr"], values)
            found = prometheus.instant(text, window.end) if target.get("instant") else prometheus.over(text, window)
            answers.append([replace(one, name=_legend(target, one.labels)) for one in found])
        return answers


def shown(text: str, variables: Mapping[str, str]) -> str:
    """A title with the texts of the variables in it."""
    return expanded(text, {name: variables.get(f"{name}:text", value) for name, value in variables.items()})


def _legend(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), target.get("legendFormat", ""))


def flat(answers: Sequence[Sequence[Series]]) -> list[Series]:
    """The series of all queries together."""
    return [series for answer in answers for series in answer]
