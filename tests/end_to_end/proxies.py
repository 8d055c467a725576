"""The two proxies that people put between devices and a hub: one that ends TLS, and one that opens tunnels."""

import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {lab}/hub.pem;
        ssl_certificate_key {lab}/hub.key;
        location / {{
            proxy_pass http://{hub};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $host;
            proxy_read_timeout 120s;
        }}
    }}
}}
"""


def nginx() -> str:
    """The binary; without it the test is skipped, but not in CI."""
    if NGINX is None:
        if os.environ.get("CI"):
            pytest.fail("nginx is missing (Debian: nginx-light)")
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    return NGINX


@contextmanager
def tls_ended_for(hub: str, lab: Path, folder: Path) -> Iterator[str]:
    """nginx before the plain hub at ``hub`` (HOST:PORT), with the certificate in ``lab``; the URL it answers on."""
    binary = nginx()
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = folder / "nginx.conf"
    settings.write_text(CONFIGURATION.format(folder=folder, lab=lab, hub=hub, port=port))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([binary, "-p", str(folder), "-c", str(settings)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "nginx does not listen"
                time.sleep(0.02)
        yield f"wss://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


class _Tunnel(socketserver.StreamRequestHandler):
    """CONNECT HOST:PORT, then bytes both ways until either side ends."""

    server: "_Proxy"

    def handle(self) -> None:
        request = self.rfile.readline().decode("latin-1").split()
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(" ".join(request[:2]))
        host, _, port = request[1].rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(there, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, there)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def tunnels() -> Iterator[_Proxy]:
    """An HTTP proxy that opens tunnels; ``asked`` has the first lines of what it was asked."""
    with _Proxy() as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
