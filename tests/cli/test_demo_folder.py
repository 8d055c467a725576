"""Which folders of demos stay, and which are swept."""

import os
import tempfile
from pathlib import Path

import pytest

from hub.cli.demo_folder import LOCK, DemoFolder, sweep


@pytest.fixture(autouse=True)
def temporary(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place))


def test_a_folder_in_use_stays() -> None:
    folder = DemoFolder(None)
    sweep()
    assert folder.path.exists()
    folder.end(keep=False)
    assert not folder.path.exists()


def test_a_folder_is_in_use_as_long_as_a_child_of_the_demo_lives() -> None:
    folder = DemoFolder(None)
    (fd,) = folder.lock
    inherited = os.dup(fd)
    os.close(fd)
    sweep()
    assert folder.path.exists()
    os.close(inherited)
    sweep()
    assert not folder.path.exists()


def test_what_was_kept_on_purpose_stays() -> None:
    folder = DemoFolder(None)
    folder.end(keep=True)
    sweep()
    assert folder.path.exists()


def test_a_named_folder_has_no_lock_and_stays(place: Path) -> None:
    folder = DemoFolder(place)
    folder.end(keep=False)
    assert place.exists()
    assert not (place / LOCK).exists()


def test_nothing_is_swept_through_a_link(place: Path) -> None:
    there = place / "elsewhere"
    there.mkdir()
    (there / LOCK).touch()
    (place / "telemetrio-demo-link").symlink_to(there)
    sweep()
    assert (there / LOCK).exists()
