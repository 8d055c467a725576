"""Health and metrics over HTTP: what they say, and that nobody who asks can stop them."""

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import trio

from hub.edge.http import application, serve_http

pytestmark = pytest.mark.trio


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_health_readiness_and_metrics() -> None:
    problems: list[str] = []
    cautions: list[str] = []
    app = application(
        {"edge": lambda: {"links": 3, "name": "x", "seconds": 0.5}}, lambda: problems, lambda: cautions
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_http, app, "127.0.0.1", 0)
        assert await trio.to_thread.run_sync(get, port, "/healthz") == (200, "ok\n")
        assert await trio.to_thread.run_sync(get, port, "/readyz") == (200, "ready\n")
        cautions.append("the clock is behind")
        assert await trio.to_thread.run_sync(get, port, "/readyz") == (200, "ready\nthe clock is behind\n")
        problems.append("the disk is full")
        assert await trio.to_thread.run_sync(get, port, "/readyz") == (503, "the disk is full\nthe clock is behind\n")
        status, text = await trio.to_thread.run_sync(get, port, "/metrics")
        assert status == 200
        assert "telemetrio_edge_links 3.0" in text
        assert "telemetrio_edge_seconds 0.5" in text
        assert "telemetrio_edge_name" not in text
        assert (await trio.to_thread.run_sync(get, port, "/v1/device"))[0] == 404
        nursery.cancel_scope.cancel()


async def test_a_port_in_use_is_an_oserror() -> None:
    app = application({}, list)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_http, app, "127.0.0.1", 0)
        with pytest.raises(OSError, match="in use"):
            await nursery.start(serve_http, app, "127.0.0.1", port)
        nursery.cancel_scope.cancel()


async def test_garbage_does_not_stop_it() -> None:
    app = application({}, list)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_http, app, "127.0.0.1", 0)
        for garbage in (
            b"\xff\xfe\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: \xff\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(garbage)
            with trio.move_on_after(0.5):
                await stream.receive_some()
            await trio.aclose_forcefully(stream)
        assert await trio.to_thread.run_sync(get, port, "/healthz") == (200, "ok\n")
        nursery.cancel_scope.cancel()


async def test_a_crash_inside_is_answered_500_and_not_the_end() -> None:
    def statistics() -> dict[str, float]:
        raise RuntimeError("a bug")

    app = application({"edge": statistics}, list)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_http, app, "127.0.0.1", 0)
        assert (await trio.to_thread.run_sync(get, port, "/metrics"))[0] == 500
        assert await trio.to_thread.run_sync(get, port, "/healthz") == (200, "ok\n")
        nursery.cancel_scope.cancel()
