from collections.abc import Iterator

import pytest
import trio

from hub.client.dial import Target
from hub.client.shell import connect
from tests.end_to_end.processes import HubProcess
from tests.end_to_end.raw import write_model
from tests.end_to_end.wrong import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("wrong")
    settings = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(folder))}
    with HubProcess.make(folder / "hub", settings=settings) as hub:

        async def viewer() -> str:
            async with connect(Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")) as operator:
                return str((await operator.call("tokens.create", role="viewer", name="eve"))["token"])

        yield Place(hub, trio.run(viewer))
        assert hub.process is not None
        assert hub.process.poll() is None, "nothing here ends a hub"
        assert "Traceback" not in hub.log()
        assert hub.stop() == 0
