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


def application(
    rooms: Mapping[str, Statistics], problems: Callable[[], list[str]], cautions: Callable[[], list[str]] = list
) -> Starlette:
    """The routes: ``/metrics``, ``/healthz`` (the process answers), ``/readyz`` (nothing is wrong; what somebody should
    look at all the same stands below)."""
    exposition = Exposition(rooms)

    async def metrics(_request: Request) -> Response:
        return Response(exposition.text(), media_type=exposition.media_type)

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_request: Request) -> Response:
        wrong = problems()
        return PlainTextResponse("\n".join([*(wrong or ["ready"]), *cautions()]) + "\n", 503 if wrong else 200)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthy), Route("/readyz", ready)])


class _Told:
    """Where hypercorn tells its port; from then on exceptions are the server's own."""

    def __init__(self, task_status: trio.TaskStatus[int]) -> None:
        self._task_status = task_status
        self.port: int | None = None

    def started(self, binds: list[str]) -> None:
        if self.port is None:
            self.port = int(binds[0].rpartition(":")[2])
            self._task_status.started(self.port)


async def serve_http(
    app: Starlette, host: str, port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; ``started`` with the port. OSError when it cannot be bound; after that an exception
    inside is logged and the server started again: whoever asks for health must not take the hub down."""
    told = _Told(task_status)
    while True:
        config = Config()
        config.bind = [f"[{host}]:{told.port or port}" if ":" in host else f"{host}:{told.port or port}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = GRACE_SECONDS
        config.include_server_header = False
        failure: BaseException = RuntimeError("ended by itself")
        try:
            await serve(app, config, task_status=told, mode="asgi")  # type: ignore[arg-type]
        except* Exception as crash:
            failure = _first(crash)
        if told.port is None:
            raise failure
        log.error("HTTP crashed and is started again", exc_info=failure)
        await trio.sleep(RETRY_SECONDS)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What really happened, out of the nurseries' groups."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner
