"""Finds the files that come with Telemetrio: ``configs/`` in a checkout, ``hub/configs/`` in an installed wheel."""

from pathlib import Path


def shipped(name: str) -> Path:
    """Where the file or folder ``name`` of ``configs/`` is; FileNotFoundError when it does not come with Telemetrio."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"configs/{name} is not part of this installation: install telemetrio again")
