import pytest

from .scraped import Scraped


@pytest.fixture
def scraped():
    return Scraped()
