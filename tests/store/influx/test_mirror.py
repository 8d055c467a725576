"""What the mirror does when the server refuses: a small HTTP server that answers as it is told to."""

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hub.store.base import StoreError
from hub.store.influx import InfluxMirror
from tests.store.building import T0, birth, row

ONE = birth(1, "station-1")
Answer = tuple[int, dict[str, str], str]


class Server:
    """Keeps the lines it was sent; ``judge`` says what to answer to a request's lines."""

    def __init__(self) -> None:
        self.judge: Callable[[list[str]], Answer] = lambda lines: (204, {}, "")
        self.kept: list[str] = []
        self.paths: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                lines = (gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body).decode()
                server.paths.append(self.path + " " + self.headers["Authorization"])
                status, headers, text = server.judge(lines.split("\n"))
                if status == 204:
                    server.kept += lines.split("\n")
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture
def mirror(server: Server) -> Iterator[InfluxMirror]:
    made = InfluxMirror(server.url, "secret", "home", "telemetry")
    yield made
    made.close()


def rows(count: int) -> list[object]:
    return [row(i, ONE, T0 + i, [float(i), None]) for i in range(1, count + 1)]


def test_lines_are_sent_in_requests_of_bounded_size(server: Server, mirror: InfluxMirror) -> None:
    mirror.take(rows(5001))  # type: ignore[arg-type]
    assert len(server.kept) == 5001
    assert server.kept[0] == f"model,device=station-1 temperature=1 {(T0 + 1) * 1000 + 1}"
    assert server.paths == ["/api/v2/write?org=home&bucket=telemetry&precision=ns Token secret"] * 2
    assert mirror.statistics() == {"lines": 5001, "requests": 2, "refused": 0, "collisions": 0, "refusal": ""}
    mirror.take([])
    assert len(server.paths) == 2


def test_lines_the_server_refuses_are_found_and_the_others_get_through(server: Server, mirror: InfluxMirror) -> None:
    bad = ("temperature=7 ", "temperature=61 ")
    server.judge = lambda lines: (
        (400, {}, '{"message":"field type conflict"}')
        if any(word in line for line in lines for word in bad)
        else (204, {}, "")
    )
    mirror.take(rows(100))  # type: ignore[arg-type]
    assert len(server.kept) == 98
    assert len(set(server.kept)) == 98
    assert [b"temperature=7 " in line.line or b"temperature=61 " in line.line for line in mirror.refused] == [
        True,
        True,
    ]
    assert "field type conflict" in mirror.refused[0].text
    assert mirror.statistics()["refused"] == 2
    assert "field type conflict" in mirror.statistics()["refusal"]
    assert mirror.statistics()["requests"] < 40


@pytest.mark.parametrize(
    ("status", "retry"), [(401, False), (403, False), (404, False), (429, True), (500, True), (503, True)]
)
def test_an_answer_that_is_not_about_the_lines_stops_the_mirror(
    server: Server, mirror: InfluxMirror, status: int, retry: bool
) -> None:
    server.judge = lambda lines: (status, {"Retry-After": "7"}, "not now")
    with pytest.raises(StoreError, match=f"answers {status} .not now") as caught:
        mirror.take(rows(3))  # type: ignore[arg-type]
    assert caught.value.retry is retry
    assert caught.value.retry_after == (7.0 if retry else None)
    if not retry:
        assert "check the mirror's token, org and bucket" in str(caught.value)
    assert len(server.paths) == 1
    assert not mirror.refused


def test_a_server_that_is_not_there_is_worth_waiting_for(server: Server) -> None:
    mirror = InfluxMirror("http://127.0.0.1:1", "secret", "home", "telemetry", timeout=1.0)
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        mirror.take(rows(1))  # type: ignore[arg-type]
    assert caught.value.retry
    mirror.close()


def test_lines_that_overwrite_each_other_are_counted(mirror: InfluxMirror) -> None:
    mirror.take([row(5, ONE, T0, [1.0, None]), row(5, ONE, T0, [2.0, None])])
    assert mirror.statistics()["collisions"] == 1
