"""Permitted breaches: the file `.lint` beside the dashboards, in the form that Grafana's linter reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from .problems import Problem


@dataclass(frozen=True)
class Exceptions:
    """By rule: which panels of which dashboards may break it."""

    panels: Mapping[str, Sequence[tuple[str, str]]]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From the folder's `.lint`; none without the file. Each exclusion needs a reason and entries (KeyError)."""
        path = folder / ".lint"
        if not path.exists():
            return cls({})
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))["exclusions"]
        entries = {rule: entry["entries"] for rule, entry in rules.items() if entry["reason"]}
        return cls({rule: [(e["dashboard"], e["panel"]) for e in found] for rule, found in entries.items()})

    def permits(self, problem: Problem) -> bool:
        """Whether this one has been allowed for."""
        return (problem.dashboard, problem.panel) in self.panels.get(problem.rule, ())

    def without(self, problems: Sequence[Problem]) -> list[Problem]:
        """Those that have not."""
        return [problem for problem in problems if not self.permits(problem)]
