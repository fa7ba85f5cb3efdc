"""Session folders: kept while their owner lives, removed by the next owner if it was killed."""

import subprocess
import sys
import tempfile

import pytest

from raydient.server.clusters.session_folder import PREFIX, SessionFolder, remove_leftovers

HOLD = """
import threading
from raydient.server.clusters.session_folder import SessionFolder
folder = SessionFolder()
print(folder.path, flush=True)
threading.Event().wait()
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_folder_is_removed_with_all_that_is_in_it(tmp_path):
    folder = SessionFolder()
    (folder.path / "session").mkdir()
    folder.close()
    folder.close()
    assert not [*tmp_path.iterdir()]


def test_the_next_owner_removes_the_folder_of_a_killed_one(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as owner:
        path = owner.stdout.readline().strip()
        remove_leftovers()
        assert [str(p) for p in tmp_path.iterdir()] == [path], "its owner lives"
        owner.kill()
    mine = SessionFolder()
    assert [*tmp_path.iterdir()] == [mine.path]
    mine.close()


def test_other_folders_are_left_alone(tmp_path):
    for name in (PREFIX + "without-lock", "raydient-state"):
        (tmp_path / name).mkdir()
    (tmp_path / "raydient-state" / "owner").touch()
    remove_leftovers()
    assert len([*tmp_path.iterdir()]) == 2
