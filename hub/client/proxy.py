"""HTTP CONNECT: which proxy the environment names for a host, and the tunnel through it."""

import os
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import unquote, urlsplit

import h11
import trio

from hub.client.errors import Refused, Unreachable

_CHUNK: Final = 4096  # bytes of a proxy's answer read at once; answers are a few hundred bytes


def proxy_for(host: str, port: int, environment: Mapping[str, str] | None = None) -> str | None:
    """The proxy that ``https_proxy`` or ``HTTPS_PROXY`` names for a hub, unless ``NO_PROXY`` lists it."""
    variables = os.environ if environment is None else environment
    proxy = variables.get("https_proxy") or variables.get("HTTPS_PROXY")
    exempt = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    return None if not proxy or any(_covers(entry.strip(), host, port) for entry in exempt.split(",")) else proxy


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY (``*``, name, ``.suffix``, address, network, each with a port or not) means host."""
    if not entry:
        return False
    if entry == "*":
        return True
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and ("]" in name or ":" not in name):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]").lstrip("*").lower()
    host = host.lower().rstrip(".")
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return host == entry.lstrip(".") or host.endswith("." + entry.lstrip("."))


def proxy_address(proxy: str) -> tuple[str, int]:
    """Host and port of ``http://[user:password@]host[:port]``; Unreachable when it is not that."""
    parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    try:
        port = parts.port
    except ValueError:
        port = None
        parts = parts._replace(netloc="")
    if parts.scheme != "http" or not parts.hostname:
        raise Unreachable(f"the proxy {_shown(proxy)!r} is not http://HOST:PORT; correct or unset HTTPS_PROXY")
    return parts.hostname, port or 80


def _shown(proxy: str) -> str:
    """The proxy without its password."""
    return proxy.removeprefix("http://").rpartition("@")[2].rstrip("/")


def _authorization(proxy: str) -> list[tuple[str, str]]:
    parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    if parts.username is None:
        return []
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return [("Proxy-Authorization", "Basic " + b64encode(words).decode())]


async def tunnel(stream: trio.abc.Stream, proxy: str, host: str, port: int) -> None:
    """Ask the proxy at the other end of ``stream`` for a tunnel; afterwards the stream leads to ``host:port``."""
    there = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    http = h11.Connection(h11.CLIENT)
    request = h11.Request(method="CONNECT", target=there, headers=[("Host", there), *_authorization(proxy)])
    asked = http.send(request) or b""
    await stream.send_all(asked + (http.send(h11.EndOfMessage()) or b""))
    while True:
        try:
            answer = http.next_event()
        except h11.RemoteProtocolError:
            raise Unreachable(f"the proxy {_shown(proxy)} does not answer in HTTP; check HTTPS_PROXY") from None
        if isinstance(answer, h11.Response):
            break
        data = bytes(await stream.receive_some(_CHUNK))
        if not data:
            raise Unreachable(f"the proxy {_shown(proxy)} hung up; check HTTPS_PROXY, or list {host} in NO_PROXY")
        http.receive_data(data)
    if not 200 <= answer.status_code < 300:
        raise _refusal(answer.status_code, _shown(proxy), there)


def _refusal(status: int, proxy: str, there: str) -> Unreachable | Refused:
    if status == 407:
        return Unreachable(f"the proxy {proxy} wants a user and password: HTTPS_PROXY=http://USER:PASSWORD@{proxy}")
    return Unreachable(
        f"the proxy {proxy} does not lead to {there} (HTTP {status}); "
        "allow it there, or list the host in NO_PROXY if it is reached without proxy"
    )
