"""Health and metrics over plain HTTP, on a port of their own."""

from collections.abc import Callable, Mapping
from typing import Final

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hub.metrics import Exposition, Statistics

RETRY_SECONDS: Final = 1.0  # until the server is started again after an exception
GRACE_SECONDS: Final = 1.0  # for requests under way when the hub stops

log = structlog.get_logger()


def application(rooms: Mapping[str, Statistics], problems: Callable[[], list[str]]) -> Starlette:
    """The routes: ``/metrics``, ``/healthz`` (the process answers), ``/readyz`` (nothing is wrong)."""
    exposition = Exposition(rooms)

    async def metrics(_request: Request) -> Response:
        return Response(exposition.text(), media_type=exposition.media_type)

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_request: Request) -> Response:
        wrong = problems()
        return PlainTextResponse("\n".join(wrong or ["ready"]) + "\n", 503 if wrong else 200)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthy), Route("/readyz", ready)])


async def serve_http(
    app: Starlette, host: str, port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; ``started`` with the port. OSError when it cannot be bound; after that an exception
    inside is logged and the server started again: whoever asks for health must not take the hub down."""
    if ":" in host:
        host = f"[{host}]"
    async with trio.open_nursery() as nursery:
        server = trio.Event()
        port = await nursery.start(_serve_once, app, f"{host}:{port}", server)
        task_status.started(port)
        while True:
            await server.wait()
            await trio.sleep(RETRY_SECONDS)
            server = trio.Event()
            try:
                await nursery.start(_serve_once, app, f"{host}:{port}", server)
            except OSError as error:
                log.error("HTTP cannot be bound again", why=str(error))
                server.set()


async def _serve_once(
    app: Starlette, bind: str, ended: trio.Event, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    config = Config()
    config.bind = [bind]
    config.accesslog = config.errorlog = None
    config.graceful_timeout = GRACE_SECONDS
    config.include_server_header = False
    started = False

    class Started:
        """Tells the port, and that from now on exceptions are the server's."""

        def started(self, binds: list[str]) -> None:
            nonlocal started
            started = True
            task_status.started(int(binds[0].rpartition(":")[2]))

    try:
        await serve(app, config, task_status=Started(), mode="asgi")  # type: ignore[arg-type]
    except* Exception as crash:
        if not started:
            raise _first(crash) from None
        log.error("HTTP crashed", exc_info=crash)
    finally:
        ended.set()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What really happened, out of the nurseries' groups."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner
