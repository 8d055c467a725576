"""The log's id: what tells this journal from every other, so that no device's numbering is taken for another's (P1)."""

import re
from pathlib import Path
from typing import Final

from hub.ports import Files, Randomness, Worker, write_whole

NAME: Final = "log"
_SHAPE: Final = re.compile(rb"[0-9a-f]{32}\n")


class IdentityError(ValueError):
    """The file with the log's id cannot be understood."""


def known_log_id(directory: Path, files: Files) -> str | None:
    """The id in ``directory``, None where no hub has ever run; IdentityError when it is damaged. Blocks."""
    path = directory / NAME
    if NAME not in files.list(directory):
        return None
    content = files.read(path)
    if not _SHAPE.fullmatch(content):
        raise IdentityError(
            f"{path} is damaged. Put back the one from a backup; or remove it, and every device gets a fresh epoch."
        )
    return content.decode().strip()


async def log_id(directory: Path, files: Files, worker: Worker, randomness: Randomness) -> str:
    """Read the id in ``directory``, or make one and make it durable; IdentityError when it is damaged."""
    return await worker.run(_log_id, directory, files, randomness)


def _log_id(directory: Path, files: Files, randomness: Randomness) -> str:
    known = known_log_id(directory, files)
    if known is not None:
        return known
    log = randomness.token(16).hex()
    files.make_directory(directory)
    write_whole(files, directory / NAME, f"{log}\n".encode())
    return log
