"""docs/command-line.md names every command, exit status and environment variable."""

import re
from pathlib import Path

from raydient.client.cli import COMMANDS, failures

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
OPTIONS = Path(failures.__file__).with_name("options.py")


def first_cells(heading: str) -> list[str]:
    """The first cell of each row of the table under a heading of columns."""
    _, _, rest = PAGE.partition(f"| {heading} |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip() for row in rows]


def test_every_command_has_a_row() -> None:
    named = [re.findall(r"`(\w+)", cell) for cell in first_cells("command")]
    headings = [names[0] for names in named] + [name for names in named if names[0] != "dataset" for name in names[1:]]
    assert sorted(headings) == sorted(COMMANDS)


def test_every_exit_status_has_a_row() -> None:
    known = {failures.FAILED, failures.WRONG_USAGE, failures.UNREACHABLE, failures.NOT_FOUND}
    known |= {failures.NOT_PERMITTED, failures.NOT_ALLOWED, failures.INTERRUPTED}
    assert {int(cell) for cell in first_cells("status")} == known | {0}


def test_every_environment_variable_has_a_row() -> None:
    read = set(re.findall(r"RAYDIENT_[A-Z_]+", OPTIONS.read_text(encoding="utf-8")))
    assert {cell.strip("`") for cell in first_cells("environment variable")} == read | {"NO_COLOR"}
