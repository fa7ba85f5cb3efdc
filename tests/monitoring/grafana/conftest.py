"""The committed dashboards."""

import pytest

from deploy.grafana.folder import DASHBOARDS, read


@pytest.fixture
def committed():
    """Every committed dashboard by its file's name, for the test to change as it likes."""
    return read(DASHBOARDS)
