"""The hostile corpus against a hub in a process of its own, while a good device in another one streams."""

from pathlib import Path

import pytest

from tests.end_to_end.hostile_peers import under_corpus


@pytest.mark.slow
def test_hostile_peers_leave_nothing_behind_in_the_hubs_process(tmp_path: Path) -> None:
    under_corpus(tmp_path, 2)
