"""A planted bug: a change of the sources that a test, a scenario or a seed must detect."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = "proto", "server", "workers", "client"
SEEDS = "seeds"
"""The catcher of a bug that seeds of the simulation detect: the seeds that the tests run."""
TIMEOUT_SECONDS = 1200
"""More than a thousand seeds take on a slow machine."""


@dataclass(frozen=True)
class Edit:
    """The replacement of a text, which occurs once in a file."""

    file: str
    old: str
    new: str

    def apply(self, source):
        """Return the source with the replacement. ValueError if the old text does not occur once."""
        if (times := source.count(self.old)) != 1:
            raise ValueError(f"the text occurs {times} times in {self.file}: {self.old!r}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Bug:
    """A bug and its catcher.

    Attributes:
        title: the behaviour with the bug.
        edits: changes of the sources, which make one bug together.
        catcher: SEEDS, `scenario NAME`, or the path of a test.
    """

    title: str
    edits: tuple[Edit, ...]
    catcher: str


def bugs_in(text):
    """Return the bugs of a text, which are separated by empty lines.

        # Title
        catch CATCHER
        in FILE
        -old text
        +new text

    Several edits begin with `in` each.
    """
    return [_bug(block.split("\n")) for block in text.strip("\n").split("\n\n")]


def _bug(lines):
    (title, catcher, *rest), edits = lines, []
    assert title.startswith("# "), title
    assert catcher.startswith("catch "), catcher
    for line in rest:
        if line.startswith("in "):
            edits.append((line[3:], [], []))
        else:
            edits[-1]["-+".index(line[0]) + 1].append(line[1:])
    made = (Edit(file, "\n".join(old), "\n".join(new)) for file, old, new in edits)
    return Bug(title[2:], tuple(made), catcher[6:])


BUGS = [bug for path in sorted((Path(__file__).parent / "bugs").glob("*.txt")) for bug in bugs_in(path.read_text())]


def copy_sources(folder):
    """Copy packages and tests, with their compiled modules, which stay valid because times are copied too."""
    for name in (*FOLDERS, "tests"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)


def plant(bug, folder):
    """Make the edits of a bug in a copy of the sources. ValueError if one does not apply."""
    for edit in bug.edits:
        path = folder / edit.file
        path.write_text(edit.apply(path.read_text(encoding="utf-8")), encoding="utf-8")


def run_catcher(catcher, folder):
    """Run a catcher in a copy of the sources and return the problem that it reports; empty if there is none.

    Raises subprocess.TimeoutExpired: a catcher that does not end has detected nothing.
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(folder / name) for name in FOLDERS),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "tests.teeth.catch", *catcher.split(" ")]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode == 0:
        return ""
    return (done.stdout or done.stderr).strip().splitlines()[-1]
