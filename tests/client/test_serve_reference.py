"""docs/operations.md tells every option of `raydient serve`, with its default."""

import re
from pathlib import Path

from raydient.client.cli.serve import serve

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_table_is_that_of_the_command():
    rows = re.findall(r"^\| (`--.*?) \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {option: default for options, default in rows for option in re.findall(r"`(--[\w-]+)`", options)}
    options = {option.opts[0]: option for option in serve.params}
    assert set(documented) == set(options)
    for name, option in options.items():
        if option.show_default:
            assert documented[name] == f"`{option.default}`"
