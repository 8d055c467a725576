"""``telemetrio decode``: frames as people can read them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def decode(
    file: Annotated[str, Parameter(allow_leading_hyphen=True, help="A file, or - for standard input.")] = "-",
    /,
) -> int:
    """Show frames as JSON, one a line. Read are one binary frame, or hexadecimal text with one frame a line.

    Exit code 1 when one of them is no message; why, and the close code a hub would answer with, is told.
    """
    from hub.cli.exits import Exit
    from hub.client.text import safe_json
    from hub.wire.errors import RemoteProtocolError

    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    code = Exit.OK
    for frame in _frames(data):
        try:
            print(safe_json(_plain(_message(frame))))
        except RemoteProtocolError as error:
            print(f"telemetrio: no message: {error.text} (close code {int(error.code)})", file=sys.stderr)
            code = Exit.FAILED
    return code


def _frames(data: bytes) -> Iterator[bytes]:
    try:
        lines = [bytes.fromhex(line) for line in data.decode("ascii").splitlines() if line.strip()]
    except ValueError:
        lines = [data]
    yield from lines or [b""]


def _message(frame: bytes) -> Any:
    """Whose message it is, is told by its code."""
    import cbor2

    from hub.wire.codec import decode_device, decode_hub, decode_reply, decode_request
    from hub.wire.errors import RemoteProtocolError

    readers = {0: decode_device, 1: decode_hub, 2: decode_request, 3: decode_reply}
    try:
        code = cbor2.loads(frame[1:12]) if frame[:1] and 0x80 <= frame[0] < 0x98 else -1
    except (cbor2.CBORDecodeError, ValueError):
        code = -1
    reader = readers.get(code // 16, decode_device) if isinstance(code, int) else decode_device
    try:
        return reader(frame)
    except RemoteProtocolError:
        raise


def _plain(message: Any) -> dict[str, Any]:
    from dataclasses import fields, is_dataclass

    if is_dataclass(message):
        body = {field.name: _value(getattr(message, field.name)) for field in fields(message)}
    else:
        body = {name: _value(value) for name, value in message._asdict().items()}
    if body.get("token"):
        body["token"] = "(hidden)"  # noqa: S105  (a frame on a screen must not give a token away)
    return {"message": type(message).__name__.lower(), **body}


def _value(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _value(item) for name, item in value._asdict().items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    if hasattr(value, "items"):
        return {key: _value(item) for key, item in value.items()}
    return value
