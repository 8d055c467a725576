"""The real hub in the simulation: ``hub.app.run_hub`` on simulated ports, with the few doors to the machine closed.

The state file is a real SQLite database in a temporary folder, used inline: what it committed survives every crash and
what it did not commit is rolled back, which is SQLite's promise and tested by its makers. What is ours to test is which
changes share a transaction.
"""

import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest import mock

import structlog
import trio

from hub.control.registry import Registry
from hub.model import Model, parse_model
from hub.ports import Files, InlineWorker, Ports, SystemClock
from hub.settings import HubSection, JournalSection, LimitsSection, Settings, StoreSection, TlsSection
from hub.state import State
from hub.store.base import Store, StoreError
from hub.wire.messages import Declared
from tests.simulation.clock import Chance
from tests.simulation.store import SimulatedStore

SEGMENT_MB: Final = 0.006  # so that a run of seconds rolls many
TAIL_MB: Final = 0.1  # so that a follower which waits finds its records on disk only
SILENCE_SECONDS: Final = 1.0
BATCHES: Final = 6  # of a window: so that devices come to its end
RETENTION: Final = "2.5s"
LOOK_SECONDS: Final = 0.3  # of the keeper
SHM: Final = Path("/dev/shm")  # memory: SQLite's syncs cost nothing there
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


@cache
def _base() -> dict[str, Any]:
    """What all runs share: making settings costs more than starting a hub."""
    sections = {name: Settings.model_fields[name].default for name in ("mirror", "models", "log", "client")}
    return sections | {
        "tls": TlsSection(insecure_ws=True),
        "limits": LimitsSection(idle_seconds=SILENCE_SECONDS, links=200),
        "journal": JournalSection.model_construct(group_ms=5.0, segment_mb=SEGMENT_MB, tail_mb=TAIL_MB),
    }


def settings(folder: Path, *, retention: bool) -> Settings:
    """Small segments and short silences; the folder is real, and only the state file is in it."""
    return Settings.model_construct(
        hub=HubSection(data=folder / "data", reserve_mb=1),
        store=StoreSection(retention=RETENTION if retention else ""),
        base=folder,
        **_base(),
    )


@cache
def enrolled(devices: int) -> tuple[bytes, dict[str, str]]:
    """A state file in which so many devices are enrolled, and their tokens by name."""
    names = [f"counter-{number:02}" for number in range(devices)]

    async def enrol(path: Path) -> dict[str, str]:
        state = State(path)
        state.open()
        registry = Registry(state, InlineWorker(), SystemClock(), Chance(random.Random(devices)))
        await registry.load()
        tokens = {name: await registry.enroll(name, {}, "simulation") for name in names}
        state.close()
        return tokens

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        tokens = trio.run(enrol, path)
        return path.read_bytes(), tokens


def make_folder(devices: int) -> Path:
    """A hub's folder with nothing but its state file."""
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=SHM if SHM.is_dir() else None))
    (folder / "data").mkdir()
    (folder / "data" / "state.sqlite").write_bytes(enrolled(devices)[0])
    return folder


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
    replaced = {
        "hub.serving.serve_http": _no_http,
        "hub.app.open_store": open_store,
        "hub.app.device_models": lambda settings: {MODEL.name: MODEL},
        "hub.serving._write_ready": lambda path, told: None,
        "hub.ingest.credit.LEAST_BATCHES": BATCHES,
        "hub.ingest.credit.WINDOW_BATCHES": BATCHES,
        "hub.upkeep.keeper.LOOK_SECONDS": LOOK_SECONDS,
        "hub.upkeep.copies.LOOK_SECONDS": float("inf"),  # the state file is no part of what is simulated
        "devices.conversation.PONG_SECONDS": 2 * SILENCE_SECONDS,
        "devices.conversation.WELCOME_SECONDS": 4 * SILENCE_SECONDS,
    }
    try:
        with ExitStack() as stack:
            for name, value in replaced.items():
                stack.enter_context(mock.patch(name, value))
            yield
    finally:
        structlog.configure(**before)


def _drop(logger: Any, name: str, event: Any) -> Any:
    raise structlog.DropEvent
