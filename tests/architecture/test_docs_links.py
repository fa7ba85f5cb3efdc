"""Links in the Markdown files resolve, and the job files in them are valid."""

import re
from pathlib import Path

import pytest

from raydient.spec.reading import parse_job

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("benchmarks/*.md")]
)
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def prose(page):
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "code", FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page):
    """The targets of a page's links that are no URLs: (path, anchor)."""
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(page):
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def job_files(page):
    """The YAML fences of a page that are whole job files."""
    bodies = [body for _, language, body in FENCE.findall(page.read_text(encoding="utf-8")) if language == "yaml"]
    return [body for body in bodies if re.search("^dataset:", body, re.MULTILINE) and "network:" in body]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page):
    for path, anchor in links(page):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", [p for p in PAGES if job_files(p)], ids=lambda page: str(page.relative_to(ROOT)))
def test_job_files_are_valid(page):
    for text in job_files(page):
        assert parse_job(text).network.layers


def test_there_is_something_to_check():
    assert {"README.md", "docs/job-file.md", "docs/architecture.md"} <= {str(p.relative_to(ROOT)) for p in PAGES}
    assert len(job_files(ROOT / "docs" / "job-file.md")) == 6
    assert job_files(ROOT / "README.md") == [(ROOT / "examples" / "digits.yaml").read_text(encoding="utf-8")]
    assert sum(len(list(links(page))) for page in PAGES) > 50
