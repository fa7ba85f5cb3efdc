"""Every notice and every reason of a change of state in the sources has a meaning in the tables."""

import re
from pathlib import Path

from raydient.server.jobs.reasons import NOTICES, REASONS

SERVER = Path(__file__).parents[2] / "server" / "raydient" / "server"
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in SERVER.rglob("*.py"))
LIFECYCLE = (SERVER / "jobs" / "lifecycle.py").read_text(encoding="utf-8")
ELSEWHERE = {"WARNING", "WORKER_LOST", "PARAMETER_SERVER_LOST", "WAITING_FOR_WORKERS", "WORKERS_ARE_BACK"}
"""Notices whose reason does not stand in the call that makes them."""


def test_every_notice_has_a_meaning():
    assert set(NOTICES) == {*re.findall(r'\bNotice\("([A-Z_]+)"', SOURCES), *ELSEWHERE}


def test_every_reason_of_a_move_has_a_meaning():
    moves = set(re.findall(r'now, "([A-Z_]+)"', LIFECYCLE))
    assert len(moves) > 4
    assert moves <= set(REASONS)
