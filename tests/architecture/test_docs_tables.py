"""The generated tables of the pages are up to date, and complete where their source is a table itself."""

from pathlib import Path

import pytest

from docs.tables import DOCS, REGION, TABLES, commands, markdown, regenerated
from raydient.client.cli import COMMANDS, failures
from raydient.wire.frames import FRAMES, Kind

PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == regenerated(text), f"docs/{page.name} is out of date: run make docs"


def test_every_table_is_on_a_page_once() -> None:
    names = [match[1] for page in PAGES for match in REGION.finditer(page.read_text(encoding="utf-8"))]
    assert sorted(names) == sorted(TABLES)


def test_a_table_that_is_out_of_date_is_noticed() -> None:
    page = "a\n\n<!-- generated: commands -->\n| command |\n<!-- end -->\n\nb\n"
    assert regenerated(page) == f"a\n\n<!-- generated: commands -->\n{markdown(commands())}<!-- end -->\n\nb\n"


def test_sources_of_the_tables_are_complete() -> None:
    assert set(FRAMES) == set(Kind)
    assert list(dict.fromkeys(name.strip("`").split()[0] for name, _ in commands())) == ["command", *COMMANDS]
    known = {failures.FAILED, failures.WRONG_USAGE, failures.UNREACHABLE, failures.NOT_FOUND}
    known |= {failures.NOT_PERMITTED, failures.NOT_ALLOWED, failures.INTERRUPTED}
    assert set(failures.STATUSES) == known | {0}
