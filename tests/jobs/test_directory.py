import os
import stat
from pathlib import Path

import pytest

from raydient.server.errors import StartError
from raydient.server.jobs.directory import StateDirectory


def test_the_folders_are_private_to_the_owner(tmp_path):
    directory = StateDirectory(tmp_path / "a" / "state")
    for folder in (directory.path, directory.datasets, directory.jobs):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory.path / "lock").stat().st_mode) == 0o600
    assert directory.job("x") == directory.jobs / "x"
    directory.close()
    directory.close()


def test_only_one_server_can_use_a_state_directory(tmp_path):
    first = StateDirectory(tmp_path)
    with pytest.raises(StartError, match=f"another raydient serve uses the state directory {tmp_path}"):
        StateDirectory(tmp_path)
    first.close()
    StateDirectory(tmp_path).close()


def test_an_unusable_path_is_reported_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot be used: ") as caught:
        StateDirectory(tmp_path / "file" / "state")
    assert "\n" not in str(caught.value)


def test_children_do_not_inherit_the_lock(tmp_path):
    directory = StateDirectory(tmp_path)
    files = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    (lock,) = [int(file.name) for file in files if os.readlink(file) == str(directory.path / "lock")]
    assert not os.get_inheritable(lock)
    directory.close()
