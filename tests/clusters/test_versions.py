"""Versions that every node has to agree on."""

import platform

import numpy as np
import pytest

from raydient.server.clusters.versions import disagreement, installed

OURS = {"Python": "3.11.7", "raydient": "0.1.0", "ray": "2.60.0", "numpy": "2.4.6"}


def test_what_is_installed_here():
    found = installed()
    assert list(found) == list(OURS)
    assert (found["Python"], found["numpy"]) == (platform.python_version(), np.__version__)


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (OURS, ""),
        (OURS | {"scipy": "1.0"}, ""),
        (OURS | {"ray": "2.55.0"}, "node 10.0.0.2 has ray 2.55.0, this service has ray 2.60.0"),
        (
            OURS | {"Python": "3.12.1", "numpy": "2.1.0"},
            "node 10.0.0.2 has Python 3.12.1 and numpy 2.1.0, this service has Python 3.11.7 and numpy 2.4.6",
        ),
        (
            {name: OURS[name] for name in ("Python", "ray", "numpy")},
            "node 10.0.0.2 has raydient none, this service has raydient 0.1.0",
        ),
    ],
)
def test_one_line_names_the_node_and_both_versions(theirs, why):
    assert disagreement("node 10.0.0.2", theirs, OURS) == why
