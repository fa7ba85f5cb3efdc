"""The planted bugs fit the sources of today; `make teeth` runs their catchers."""

import pytest

from tests.simulation.scenario import SCENARIOS

from .planting import BUGS, ROOT, SEEDS


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.title)
def test_a_bug_can_be_planted(bug):
    sources = {}
    for edit in bug.edits:
        before = sources.get(edit.file) or (ROOT / edit.file).read_text(encoding="utf-8")
        sources[edit.file] = edit.apply(before)
    for file, source in sources.items():
        compile(source, file, "exec")


def test_every_catcher_exists():
    scenarios = {f"scenario {path.stem}" for path in SCENARIOS}
    for catcher in {bug.catcher for bug in BUGS} - scenarios - {SEEDS}:
        assert (ROOT / catcher).is_file(), catcher


def test_there_are_at_least_25_bugs_with_different_titles():
    assert len({bug.title for bug in BUGS}) == len(BUGS) >= 25
