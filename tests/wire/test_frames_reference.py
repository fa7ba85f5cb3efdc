"""docs/architecture.md tells every kind of frame."""

import re
from pathlib import Path

from raydient.wire.frames import Kind

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_the_table_has_every_kind():
    table = PAGE.read_text(encoding="utf-8").split("| frame | direction | meaning |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [kind.name for kind in Kind]
