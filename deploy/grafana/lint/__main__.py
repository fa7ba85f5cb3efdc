"""`python -m deploy.grafana.lint [FOLDER]`: a line for each problem of the dashboards in a folder."""

import argparse
import sys
from pathlib import Path

from deploy.grafana.folder import DASHBOARDS, FolderError, read

from .exceptions import Exceptions
from .rules import lint


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 without problems, 1 with some, 2 where the folder is missing."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana.lint", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DASHBOARDS, help="default %(default)s")
    folder = parser.parse_args(arguments).folder
    try:
        dashboards = read(folder)
    except FolderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    problems = Exceptions.read(folder).without([p for dashboard in dashboards.values() for p in lint(dashboard)])
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
