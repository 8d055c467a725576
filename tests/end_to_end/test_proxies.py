"""A hub behind nginx that ends TLS, and devices that reach a hub through an HTTP CONNECT proxy."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.client.servers import connect_proxy
from tests.end_to_end.processes import HubProcess, rows, running, telemetrio, until

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
SHIPPED = Path(__file__).parents[2] / "configs" / "proxies" / "nginx.conf"
#: All that a server needs beside the block that is shipped, with every file in a folder that anybody may write.
AROUND = """\
daemon off;
worker_processes 1;
pid {here}/nginx.pid;
error_log {here}/error.log;
events {{}}
http {{
    access_log {here}/access.log;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    {server}
}}
"""


@contextmanager
def nginx(here: Path, hub: HubProcess) -> Iterator[str]:
    """The shipped configuration in front of ``hub``, with the certificate that init made; the URL of it."""
    if NGINX is None:
        assert os.environ.get("CI") != "true", "nginx is not installed (Debian: nginx-light)"
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = SHIPPED.read_text()
    for shipped, ours in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8443", hub.url.removeprefix("ws://").replace("localhost", "127.0.0.1")),
        ("/etc/telemetrio/", f"{hub.folder}/"),
    ):
        assert shipped in server
        server = server.replace(shipped, ours)
    (here / "nginx.conf").write_text(AROUND.format(here=here, server=server))
    command = [NGINX, "-p", str(here), "-e", str(here / "error.log"), "-c", str(here / "nginx.conf")]
    with (here / "out").open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            until(lambda: listens(port, process))
            yield f"wss://localhost:{port}"
        finally:
            process.terminate()


def listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "nginx ended at once"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_device_and_operator_behind_nginx(tmp_path: Path) -> None:
    here = tmp_path / "nginx"
    here.mkdir()
    hub = HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_TLS__INSECURE_WS": "true"})
    with hub, nginx(here, hub) as front:
        assert hub.url.startswith("ws://"), "TLS is nginx's"
        hub.url = front  # from here on nobody dials the hub itself
        words = ("devices", "run", "--id", "freezer", "--model", "cold-chain-freezer", "--every", "0.1s")
        with running(hub, *words) as device:
            until(lambda: any(row["state"] == "online" for row in rows(hub.run("devices", "ls"))))
            (sent,) = rows(hub.run("send", "freezer", "set_setpoint", "temperature=-22"))
            assert sent["state"] == "succeeded"
            assert len(rows(hub.run("tail", "freezer", "-n", "20"))) == 20
            told = device.interrupt()
        assert told["acked"] == told["sent"] > 20
        assert told["reconnects"] == 0
        assert rows(hub.run("query", "temperature", "--device", "freezer", "--last", "10m", "--agg", "count"))
        (entry,) = rows(hub.run("ledger", "--verify"))
        assert entry["balanced"]
        assert entry["received"] == entry["stored"] + sum(entry["rejected"].values()) == told["sent"]
        assert "GET /v1/device" in (here / "access.log").read_text()
        assert hub.stop() == 0


@pytest.mark.slow
def test_a_device_through_an_http_connect_proxy_and_past_it(tmp_path: Path) -> None:
    hub = HubProcess.make(tmp_path / "hub")

    def device(name: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        words = ("devices", "run", "--id", name, "--model", "air-quality", "--every", "0.1s", "--seconds", "2")
        clean = dict.fromkeys(("https_proxy", "no_proxy", "NO_PROXY"), "")
        return telemetrio(*words, folder=hub.folder, env={**clean, "TELEMETRIO_URL": hub.url, **environment})

    async def main() -> None:
        async with connect_proxy() as proxy:
            through = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
            told = rows(await trio.to_thread.run_sync(lambda: device("through", **through)))[0]
            assert told["acked"] == told["sent"] > 0
            there = hub.url.removeprefix("wss://")
            assert proxy.asked == [f"CONNECT {there} HTTP/1.1"] * 2, "once to enrol, once to stream"
            exempt = {**through, "NO_PROXY": "example.org,localhost"}
            told = rows(await trio.to_thread.run_sync(lambda: device("past", **exempt)))[0]
            assert told["acked"] == told["sent"] > 0
            assert len(proxy.asked) == 2

    with hub:
        trio.run(main)
        entries = rows(hub.run("ledger", "--verify"))
        assert [(entry["device"], entry["balanced"]) for entry in entries] == [("past", True), ("through", True)]
        assert hub.stop() == 0
