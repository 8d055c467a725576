"""Failures of the layers below, in words: which host, and what to check."""

import socket
import ssl
from collections.abc import Iterator
from errno import ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT
from http import HTTPStatus


def why_no_tcp(error: OSError, host: str, port: int, *, proxy: bool) -> str:
    """Why no TCP connection came about."""
    what = f"the proxy {host}:{port}" if proxy else f"{host}:{port}"
    check = "check HTTPS_PROXY, or list the hub in NO_PROXY" if proxy else "check the URL"
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"no address is known for {host}; {check} and the network's name service"
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if ECONNREFUSED in numbers:
        check = check if proxy else "start it with 'telemetrio hub serve', or check the URL"
        return f"nobody listens at {what}; {check}"
    if numbers & {EHOSTUNREACH, ENETUNREACH, ETIMEDOUT}:
        return f"no way to {what}; check the network and firewalls"
    return f"cannot connect to {what}: {error.strerror or error}; {check}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__


def why_no_tls(error: BaseException, there: str) -> str:
    """Why the TLS handshake failed."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _why_untrusted(cause, there)
        if isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return f"{there} does not speak TLS; check the port"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            why = cause.reason.lower().replace("_", " ")
            return f"no TLS with {there}: {why}; check the hub's certificate and TLS version"
    return f"{there} hung up during the TLS handshake; check the port, and the hub's log"


def _why_untrusted(error: ssl.SSLCertVerificationError, there: str) -> str:
    why = error.verify_message or str(error)
    if error.verify_code in (18, 19, 20, 21):  # OpenSSL: self-signed, or the issuer is not among the trusted
        return f"the certificate of {there} is of a CA that is not trusted here ({why}); name the hub's CA with --ca"
    if error.verify_code in (62, 63, 64):  # OpenSSL: host name, e-mail, address mismatch
        return f"the certificate of {there} is for another name ({why}); use a name that it holds, or renew it"
    if error.verify_code in (9, 10):  # OpenSSL: not yet valid, expired
        return f"the certificate of {there} is not valid now ({why}); renew it, or check this machine's clock"
    return f"the certificate of {there} cannot be trusted: {why}"


def refusal(status: int, body: bytes | None, there: str) -> str:
    """What an HTTP status instead of an upgrade means."""
    said = (body or b"")[:200].decode("utf-8", "replace").strip()
    if status == 401:
        return f"{there} does not know the token; make or renew one, and name its file with --token-file"
    if status == 403:
        return f"{there} does not let this token in here; use one of the right role (devices and operators differ)"
    if status == 404:
        return f"{there} has no such path; check the URL (a prefix only where a proxy adds one)"
    if status in (502, 503, 504):
        return f"{there} answers for a hub that it cannot reach (HTTP {status}); check that the hub runs"
    try:
        name = HTTPStatus(status).phrase
    except ValueError:
        name = "unknown status"
    return f"{there} refused the link: HTTP {status} {said or name}"
