"""The hub at its door: takes links and HTTP requests until it is told to stop, and then lets everybody go."""

import errno
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import structlog
import trio

from hub.control.registry import Registry
from hub.control.router import Router
from hub.data_directory import HubError
from hub.edge.edge import Edge
from hub.edge.http import application, serve_http
from hub.edge.rooms import Rooms
from hub.followers.loop import Followers
from hub.followers.store import MirrorFollower
from hub.journal import Journal
from hub.ports import Ports
from hub.seeding import Seeding
from hub.settings import Settings, address
from hub.store.base import Store
from hub.upkeep.copies import Copies
from hub.upkeep.damage import DamageWatch
from hub.upkeep.keeper import Keeper
from hub.upkeep.mend import Mender

READY_FILE: Final = "hub.json"  # in the data directory while the hub takes links: pid, url, http, log

log = structlog.get_logger(__name__)


@dataclass
class House:
    """What is open and wired."""

    settings: Settings
    ports: Ports
    journal: Journal
    registry: Registry
    router: Router
    followers: Followers
    edge: Edge
    rooms: Rooms
    store: Store
    keeper: Keeper
    log: str
    mender: Mender | None
    damage: DamageWatch
    copies: Copies
    seeding: Seeding
    mirrors: Sequence[MirrorFollower]


async def serve_house(house: House, tls: Any, stop: trio.Event, task_status: trio.TaskStatus[House]) -> None:
    """Take links until ``stop``; then tell everybody, let them go, and return."""
    settings, ports = house.settings, house.ports
    host, port = address(settings.hub.listen)
    http_host, http_port = address(settings.hub.http)
    ready = settings.data / READY_FILE
    async with trio.open_nursery() as nursery:
        app = application(_statistics(house), house.rooms.problems, house.rooms.cautions)
        try:
            http_port = await nursery.start(serve_http, app, http_host, http_port)
        except OSError as error:
            raise _taken("hub.http", settings.hub.http, error) from None
        async with trio.open_nursery() as links:
            try:
                port = await links.start(house.edge.serve, ports.streams, host, port, tls)
            except OSError as error:
                raise _taken("hub.listen", settings.hub.listen, error) from None
            told = {
                "pid": os.getpid(), "url": f"{'ws' if tls is None else 'wss'}://{_dialable(host)}:{port}",
                "http": f"http://{http_host}:{http_port}", "log": house.log,
            }  # fmt: skip
            try:
                _write_ready(ready, told)
            except OSError as error:
                raise HubError(f"{ready} cannot be written: {error.strerror}; see to it, and start again") from None
            log.info("serving", **told)
            task_status.started(house)
            await stop.wait()
            with suppress(FileNotFoundError):
                ready.unlink()
            house.edge.drain()
        nursery.cancel_scope.cancel()


def _statistics(house: House) -> dict[str, Any]:
    """Every room's counters, for /metrics."""
    return {
        "journal": lambda: asdict(house.journal.statistics()),
        "damage": house.damage.statistics,
        "keeper": lambda: asdict(house.keeper.statistics()),
        "ingest": lambda: asdict(house.rooms.ingest.statistics()),
        "edge": house.edge.statistics,
        "store": house.store.statistics,
        "followers": lambda: {f"{each['name']}_lag": each["lag"] for each in house.followers.status()},
        "mirror": lambda: {
            f"{mirror.name}_{name}": value for mirror in house.mirrors for name, value in mirror.statistics().items()
        },
        "registry": lambda: {"devices": len(house.registry), "online": house.registry.online},
        "process": lambda: {
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "memory_blocks": sys.getallocatedblocks(),  # of Python's own allocator: what leaks shows here first
        },
    }


def _taken(key: str, value: str, error: OSError) -> HubError:
    """Why nobody can listen there. (Trio takes the number off an error of a name that has several addresses.)"""
    text = f"cannot listen on {value} ({error.strerror or error}): "
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return HubError(f"{text}write a {key} with an address of this machine", usage=True)
    if error.errno == errno.EACCES:
        return HubError(f"{text}write a {key} with a port above 1023, or run with the right to it", usage=True)
    return HubError(f"{text}free it, or write another {key} (port 0: a free one)", usage=True)


def _dialable(host: str) -> str:
    """The name under which the hub's own certificate is reached from this machine."""
    return "localhost" if host in ("127.0.0.1", "::1", "0.0.0.0", "::", "localhost") else host  # noqa: S104


def _write_ready(path: Path, told: Mapping[str, Any]) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(told))
    draft.replace(path)  # whoever waits for the file finds all of it
