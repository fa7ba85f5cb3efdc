"""What a rule finds."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Where a dashboard breaks a rule, and how. `panel` is empty where the dashboard as a whole does."""

    rule: str
    dashboard: str
    panel: str
    text: str

    def __str__(self) -> str:
        place = f"{self.dashboard}: {self.panel}" if self.panel else self.dashboard
        return f"{place}: {self.text} ({self.rule})"
