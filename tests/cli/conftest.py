from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from hub.cli.run import run
from tests.client.fakehub import FakeHub
from tests.client.servers import Trust

VARIABLES = ("COLUMNS", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(tmp_path_factory.mktemp("trust"))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, without settings from anywhere."""
    import os

    for name in (*VARIABLES, *(name for name in os.environ if name.startswith("TELEMETRIO_"))):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def telemetrio(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command line in this process."""

    def call(*words: str) -> Ran:
        capsys.readouterr()
        code = run(words)
        captured = capsys.readouterr()
        return Ran(int(code), captured.out, captured.err)

    return call


Ask = Callable[..., Awaitable[Ran]]


@pytest.fixture
def ask(telemetrio: Callable[..., Ran], trust: Trust, place: Path) -> Ask:
    """Runs a command line in a thread against a fake hub of the test: ``await ask(hub, "devices", "ls")``."""

    async def call(hub: FakeHub, *words: str) -> Ran:
        (place / "token").write_text(hub.token if hub.token else "x")
        serving: AbstractAsyncContextManager[FakeHub] = hub.serve(trust)
        async with serving:
            (place / "telemetrio.toml").write_text(
                f'[client]\nurl = "{hub.url}"\nca = "{trust.ca}"\ntoken_file = "token"\n'
            )
            return await trio.to_thread.run_sync(telemetrio, *words)

    return call
