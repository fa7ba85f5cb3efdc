"""Checks of dashboards: the SDK's schema, and the rules of Grafana's own linter (github.com/grafana/dashboard-linter).

`python -m deploy.grafana.lint [FOLDER]` prints a line for each problem.
"""

from .exceptions import Exceptions
from .problems import Problem
from .rules import RULES, lint

__all__ = ["RULES", "Exceptions", "Problem", "lint"]
