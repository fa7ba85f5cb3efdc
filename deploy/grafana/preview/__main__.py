"""`python -m deploy.grafana.preview`: draw every dashboard into a folder, as PNG.

Without `--prometheus`, it starts a service that trains examples for some minutes, and a Prometheus that scrapes it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.grafana.folder import DASHBOARDS, FolderError, read, require
from raydient.client import RaydientError

from .page import picture, save
from .play import HEALTHY, SICK, perform
from .prometheus import Prometheus, PrometheusError, Window
from .stage import ROOT, StageError, stage

SCRAPE_SECONDS = 5.0
"""The scrape interval of deploy/prometheus/prometheus.yml."""
POINTS = 240
"""About so many values lie side by side in a panel."""
PICTURES = (
    ("service", "service", ""),
    ("job", "job", HEALTHY),
    ("gradient-health", "gradient-health", SICK),
    ("gradient-health-healthy", "gradient-health", HEALTHY),
)
"""Name of the picture, the dashboard, and how the name of the training job begins that is shown."""


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 1 where Prometheus or the service fails, 2 where a folder is missing."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana.preview", description=__doc__)
    parser.add_argument("--dashboards", type=Path, default=DASHBOARDS, help="folder of the dashboards")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures")
    parser.add_argument("--prometheus", metavar="URL", help="one that runs, instead of one of its own")
    parser.add_argument("--minutes", type=float, default=5.0, help="how much time is shown")
    options = parser.parse_args(arguments)
    try:
        dashboards = read(options.dashboards)
        require(options.output, "output")
        if options.prometheus:
            _draw(dashboards, options.prometheus, options.minutes, options.output)
        else:
            with tempfile.TemporaryDirectory(prefix="raydient-") as folder, stage(Path(folder)) as running:
                perform(running, options.minutes * 60)
                _draw(dashboards, running.prometheus, options.minutes, options.output)
    except FolderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (PrometheusError, StageError, RaydientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _draw(dashboards: Mapping[str, Any], url: str, minutes: float, output: Path) -> None:
    end, seconds = time.time(), minutes * 60
    window = Window(end - seconds, end, max(SCRAPE_SECONDS, round(seconds / POINTS)))
    for name, dashboard, job in PICTURES:
        if dashboard in dashboards:
            path = output / f"{name}.png"
            save(picture(dashboards[dashboard], Prometheus(url), window, SCRAPE_SECONDS, job), path)
            print(path)


if __name__ == "__main__":
    sys.exit(main())
