"""What a hub needs of the system before it starts."""

import resource
from collections.abc import Iterator

import pytest

from hub.edge.listener import WAITING
from hub.preflight import OWN_FILES, allow_files
from hub.settings import Settings


@pytest.fixture
def few_files() -> Iterator[int]:
    """A soft limit as small as many systems have it; the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_every_link_allowed_has_a_descriptor(few_files: int) -> None:
    settings = Settings.model_validate({"limits": {"links": 3000, "half_open": 100}})
    wanted = min(3000 + 100 + WAITING * 100 + OWN_FILES, few_files)
    assert allow_files(settings) == wanted
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, few_files)


def test_a_higher_limit_is_left_alone(few_files: int) -> None:
    settings = Settings.model_validate({"limits": {"links": 1, "half_open": 1}})
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert allow_files(settings) == before[0]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
