"""The commands a device has seen, on disk: an id is written before it is acted upon, so that none is run twice."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Final

from devices.disk.records import pack, read_all, records
from hub.ports import File, Files, Worker
from hub.wire.codec import decode_device, encode
from hub.wire.errors import WireError
from hub.wire.messages import Result

REMEMBERED: Final = 512  # ids; far more than can be under way
TOO_LONG: Final = "too long to be remembered over a restart"
FILE_BYTES: Final = 2 * 1024 * 1024  # then the file is begun anew with those that are remembered
VALUE_BYTES: Final = 2048  # of a result; what is longer is not remembered
BEGUN: Final = "acknowledged"  # state of a command that has been acted upon and has not ended


class CommandBook:
    """Ids of commands with what came of them. Raises OSError when it cannot be written: then do not act."""

    def __init__(self, directory: Path, files: Files, worker: Worker) -> None:
        self._path = directory / "commands"
        self._files = files
        self._worker = worker
        self._known: OrderedDict[str, Result] = OrderedDict()
        self._file: File | None = None

    async def open(self) -> list[Result]:
        """What is known, oldest first; the state of those that never ended is ``BEGUN``. In a directory that its
        spool has taken."""
        await self._worker.run(self._read)
        return list(self._known.values())

    async def begin(self, id: str) -> None:
        """The command is about to be acted upon."""
        await self._worker.run(self._write, Result(None, id, BEGUN, None))

    async def end(self, result: Result) -> None:
        """It has ended."""
        await self._worker.run(self._write, result)

    async def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            await self._worker.run(self._file.close)
            self._file = None

    def _read(self) -> None:
        if self._path.name not in self._files.list(self._path.parent):
            return
        file = self._files.open(self._path)
        try:
            data = read_all(file)
        finally:
            file.close()
        for payload in records(data):
            try:
                result = None if payload is None else decode_device(payload)
            except WireError:  # of another version
                continue
            if isinstance(result, Result):
                self._note(result)

    def _note(self, result: Result) -> None:
        self._known[result.id] = result
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _write(self, result: Result) -> None:
        if len(encode(result)) > VALUE_BYTES:
            result = replace(result, value=TOO_LONG)
        self._note(result)
        record = pack(encode(result))
        file, self._file = self._file, None
        if file is not None and file.size() + len(record) <= FILE_BYTES:
            try:
                file.append(record)
                file.sync()
            except OSError:
                file.close()  # what a failed sync leaves behind is not to be trusted: begin anew
                raise
            self._file = file
            return
        if file is not None:
            file.close()
        self._file = self._begin()

    def _begin(self) -> File:
        """A new file with all that is known."""
        draft = self._path.with_suffix(".new")
        file = self._files.open(draft, create=True)
        try:
            file.truncate(0)
            file.append(b"".join(pack(encode(result)) for result in self._known.values()))
            file.sync()
            self._files.rename(draft, self._path)
            self._files.sync_directory(self._path.parent)
        except OSError:
            file.close()
            raise
        return file
