"""`python -m deploy.grafana.program [FOLDER]`: write the dashboards, by default where they are committed."""

import argparse
import sys
from pathlib import Path

from deploy.grafana.folder import DASHBOARDS, FolderError

from .writing import write


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0, or 2 if the folder is missing."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana.program", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DASHBOARDS, help="where to; default %(default)s")
    try:
        write(parser.parse_args(arguments).folder)
    except FolderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
