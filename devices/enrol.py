"""Enrolment: a device without a token gets one from the hub, and keeps it in a file that only its owner can read."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import trio

from hub.client import Target
from hub.client.shell import Operator, connect
from hub.ports import Files, Streams, Worker, write_whole
from hub.wire.messages import NAME_PATTERN

AT_ONCE: Final = 8  # enrolments under way: the hub makes them durable in groups


class BadName(ValueError):
    """A device cannot have this name; the text says which it may have."""


class NoToken(Exception):
    """A device has no token and there is no enrol token to get one with; the text says what to do."""


class Tokens:
    """The tokens directory: one file a device, mode 0600."""

    def __init__(self, directory: Path, files: Files, worker: Worker) -> None:
        self._directory = directory
        self._files = files
        self._worker = worker

    def path(self, device: str) -> Path:
        """Where the device's token is kept; BadName when that is no name of a device."""
        if not re.fullmatch(NAME_PATTERN, device):
            raise BadName(f"{device!r} cannot name a device: letters, digits, dot, dash, underscore; at most 64")
        return self._directory / f"{device}.token"

    async def get(self, device: str) -> str | None:
        """The device's token, or None when there is none."""
        return await self._worker.run(self._read, self.path(device))

    async def prepare(self, device: str) -> None:
        """See that the device's token could be written down; OSError when it could not."""
        await self._worker.run(self._probe, self.path(device))

    async def keep(self, device: str, token: str) -> None:
        """Write the token down, durably."""
        await self._worker.run(self._write, self.path(device), token)

    async def forget(self, device: str) -> None:
        """The token is of no use any more."""
        await self._worker.run(self._files.remove, self.path(device))

    def _read(self, path: Path) -> str | None:
        try:
            return self._files.read(path).decode().strip() or None
        except FileNotFoundError:
            return None

    def _probe(self, path: Path) -> None:
        self._files.make_directory(path.parent)
        new = path.with_suffix(".new")
        self._files.open(new, create=True).close()
        self._files.remove(new)

    def _write(self, path: Path, token: str) -> None:
        self._files.make_directory(path.parent)
        write_whole(self._files, path, token.encode() + b"\n")


async def enrol(
    target: Target, enrol_token: str | None, tokens: Tokens, devices: Mapping[str, Mapping[str, str]], streams: Streams
) -> dict[str, str]:
    """A token for every device (name to labels): the one it has, else a fresh one.

    Raises NoToken, DialError and SocketClosed when the hub cannot be reached, HubFailure when it refuses.
    """
    known = {device: await tokens.get(device) for device in devices}
    lacking = [device for device, token in known.items() if token is None]
    if lacking:
        if enrol_token is None:
            raise NoToken(
                f"{lacking[0]} has no token; give an enrol token (TELEMETRIO_ENROL_TOKEN, or enrol_token_file under "
                f"[client] in the settings), or write the device's token to {tokens.path(lacking[0])}"
            )
        await tokens.prepare(lacking[0])  # a token that gets lost would still have made the device's old one worthless
        async with connect(replace(target, token=enrol_token), streams) as operator:
            known.update(await _enrol_all(operator, tokens, {device: devices[device] for device in lacking}))
    return {device: token for device, token in known.items() if token is not None}


async def _enrol_all(
    operator: Operator, tokens: Tokens, devices: Mapping[str, Mapping[str, str]]
) -> Iterable[tuple[str, str]]:
    fresh: list[tuple[str, str]] = []
    send, receive = trio.open_memory_channel[tuple[str, Mapping[str, str]]](math.inf)
    for each in devices.items():
        send.send_nowait(each)
    send.close()

    async def enrol_some() -> None:
        async for device, labels in receive:
            answer = await operator.call("devices.enroll", device=device, labels=dict(labels))
            await tokens.keep(device, answer["token"])
            fresh.append((device, answer["token"]))

    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(enrol_some)
    except* Exception as group:
        failure = group.exceptions[0]  # they all fail alike: the hub is gone, or it refuses this token
    if failure is not None:
        raise failure
    return fresh
