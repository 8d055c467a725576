"""The real hub in the simulation: ``hub.app.run_hub`` on simulated ports, with the few doors to the machine closed.

The state file is a real SQLite database in a temporary folder, used inline: what it committed survives every crash and
what it did not commit is rolled back, which is SQLite's promise and tested by its makers. What is ours to test is which
changes share a transaction.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import structlog
import trio

from hub.config import HubSection, JournalSection, LimitsSection, Settings, TlsSection
from hub.model import Model, parse_model
from hub.ports import Files, Ports
from hub.store.base import Store, StoreError
from hub.wire.messages import Declared
from tests.simulation.store import SimulatedStore

SEGMENT_MB = 0.02  # so that a run of a minute rolls many
TAIL_MB = 0.2  # so that a follower which waits finds its records on disk only
MODEL_TEXT = """
[metrics.n]
unit = "/"
type = "int"
min = 0
[commands.poke]
[commands.poke.arguments.n]
type = "int"
"""
MODEL: Model = parse_model(MODEL_TEXT, "counter.toml")
METRICS = (Declared("n", "/", "int"),)


def settings(folder: Path) -> Settings:
    """Small segments and short silences; the folder is real, and only the state file is in it."""
    return Settings.model_construct(
        hub=HubSection(data=folder / "data"),
        tls=TlsSection(insecure_ws=True),
        limits=LimitsSection(idle_seconds=2.0, links=200),
        journal=JournalSection.model_construct(group_ms=5.0, segment_mb=SEGMENT_MB, tail_mb=TAIL_MB),
        **{name: Settings.model_fields[name].default for name in ("store", "mirror", "models", "log", "client")},
        base=folder,
    )


async def _no_http(app: Any, host: str, port: int, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    task_status.started(port)
    await trio.sleep_forever()


@contextmanager
def closed_doors(store_files: Files) -> Iterator[None]:
    """While it lasts, run_hub serves no HTTP, writes no ready file, logs nothing, and its store is a simulated one."""

    @asynccontextmanager
    async def open_store(settings: Settings, ports: Ports, worker: Any, journal: Any) -> AsyncIterator[Store]:
        store = SimulatedStore(Path("/store/log"), store_files)
        with suppress(StoreError):  # its follower tries again
            await worker.run(store.open)
        yield store

    before = structlog.get_config()
    structlog.configure(
        logger_factory=structlog.ReturnLoggerFactory(), processors=[_drop], cache_logger_on_first_use=False
    )
    try:
        with (
            mock.patch("hub.app.serve_http", _no_http),
            mock.patch("hub.app.open_store", open_store),
            mock.patch("hub.app.device_models", return_value={MODEL.name: MODEL}),
            mock.patch("hub.app._write_ready"),
        ):
            yield
    finally:
        structlog.configure(**before)


def _drop(logger: Any, name: str, event: Any) -> Any:
    raise structlog.DropEvent
