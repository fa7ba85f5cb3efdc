"""The dashboards as a program: `python -m deploy.grafana.program` writes them as JSON."""

from .writing import dashboards, write

__all__ = ["dashboards", "write"]
