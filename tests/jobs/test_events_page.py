"""docs/operations.md explains every notice and every reason of a change of state that the code writes out."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "server").rglob("*.py"))
LIFECYCLE = (ROOT / "server" / "raydient" / "server" / "jobs" / "lifecycle.py").read_text(encoding="utf-8")
ELSEWHERE = {"WARNING", "WORKER_LOST", "PARAMETER_SERVER_LOST", "WAITING_FOR_WORKERS", "WORKERS_ARE_BACK"}
"""Notices whose reason does not stand in the call that makes them."""


def explained(heading):
    """The words in the first cells of the table under a heading of columns."""
    _, _, rest = PAGE.partition(f"| {heading} |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return {word for row in rows for word in re.findall(r"`([A-Z_]+)`", row.split("|")[1])}


def test_every_notice_is_explained():
    assert explained("notice | meaning") == {*re.findall(r'\bNotice\("([A-Z_]+)"', SOURCES), *ELSEWHERE}


def test_every_reason_of_a_move_is_explained():
    moves = set(re.findall(r'now, "([A-Z_]+)"', LIFECYCLE))
    assert len(moves) > 4
    assert moves <= explained("reason | state | why")
