"""Draw every dashboard into a folder, as PNG, from a Prometheus; the script `demo` starts one with jobs to see."""

import argparse
import sys
import time
from pathlib import Path

from deploy.grafana.folder import DASHBOARDS, FolderError, read, require

from .page import picture
from .prometheus import Prometheus, PrometheusError, Window

SCRAPE_SECONDS = 5.0
"""The scrape interval of deploy/prometheus/prometheus.yml."""
PICTURES = (
    ("service", "service", ""),
    ("job", "job", "digits, wide"),
    ("gradient-health", "gradient-health", "vanishing gradient"),
    ("gradient-health-healthy", "gradient-health", "digits, wide"),
)
"""Name of the picture, the dashboard, and how the display name of the training job begins that is shown."""


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0, 1 if Prometheus fails, 2 if the folder is missing."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana.preview", description=__doc__)
    parser.add_argument("prometheus", metavar="URL")
    parser.add_argument("--output", type=Path, default=Path("docs/images"), help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the time range; default %(default)s")
    options = parser.parse_args(arguments)
    end = time.time()
    window = Window(end - options.seconds, end, max(SCRAPE_SECONDS, round(options.seconds / 240)))
    try:
        dashboards = read(DASHBOARDS)
        require(options.output, "output")
        for name, dashboard, job in PICTURES:
            path = options.output / f"{name}.png"
            figure = picture(dashboards[dashboard], Prometheus(options.prometheus), window, SCRAPE_SECONDS, job)
            figure.savefig(path, metadata={"Software": None})  # equal pictures are equal files
            print(path)
    except (FolderError, PrometheusError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, FolderError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
