"""Memory that reading a file may take."""

import pytest

from raydient.spec.errors import InvalidSpec
from raydient.workers.data import limits


def test_spending_is_limited_to_a_share_of_the_available_memory():
    budget = limits.Budget(1000)
    budget.spend(300)  # and a copy
    budget.spend(110, texts=1)
    with pytest.raises(InvalidSpec, match=r"its data take more than 0\.0 MiB of memory"):
        budget.spend(1)


def test_the_least_of_machine_and_control_group_counts(tmp_path, monkeypatch):
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(limits, "_CGROUPS", ((limit, used),))
    on_this_machine = limits.available_bytes()
    assert on_this_machine > 2**20
    used.write_text("600")
    limit.write_text("max\n")
    assert limits.available_bytes() > 2**20
    limit.write_text("1000\n")
    assert limits.available_bytes() == 400
    limit.write_text("500\n")
    assert limits.available_bytes() == 0
