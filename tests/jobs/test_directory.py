import os
import stat

import pytest

from raydient.server.errors import StartError
from raydient.server.jobs.directory import StateDirectory


def test_makes_its_folders_for_the_owner_alone(tmp_path):
    directory = StateDirectory(tmp_path / "a" / "state")
    for folder in (directory.path, directory.datasets, directory.jobs):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory.path / "lock").stat().st_mode) == 0o600
    assert directory.job("x") == directory.jobs / "x"
    directory.close()
    directory.close()


def test_only_one_server_at_a_time_uses_it(tmp_path):
    first = StateDirectory(tmp_path)
    with pytest.raises(StartError, match=f"another raydient serve uses the state directory {tmp_path}"):
        StateDirectory(tmp_path)
    first.close()
    StateDirectory(tmp_path).close()


def test_a_place_that_cannot_be_used_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot be used: ") as caught:
        StateDirectory(tmp_path / "file" / "state")
    assert "\n" not in str(caught.value)


def test_the_lock_is_not_handed_to_children(tmp_path):
    directory = StateDirectory(tmp_path)
    assert not os.get_inheritable(directory._lock)
    directory.close()
