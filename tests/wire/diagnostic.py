"""CBOR diagnostic notation (RFC 8949, section 8) of a frame, read from its bytes by hand: a second opinion to cbor2."""

import json
import math
import struct


def diagnostic(frame: bytes) -> str:
    """The notation of the one item that ``frame`` is."""
    text, end = _item(frame, 0)
    if end != len(frame):
        raise ValueError("bytes after the item")
    return text


def _argument(frame: bytes, at: int) -> tuple[int, int]:
    low = frame[at] & 31
    if low < 24:
        return low, at + 1
    size = 1 << (low - 24)
    return int.from_bytes(frame[at + 1 : at + 1 + size], "big"), at + 1 + size


def _item(frame: bytes, at: int) -> tuple[str, int]:
    major = frame[at] >> 5
    if major == 7:
        return _special(frame, at)
    argument, at = _argument(frame, at)
    if major == 0:
        return str(argument), at
    if major == 1:
        return str(-1 - argument), at
    if major in (2, 3):
        content, at = frame[at : at + argument], at + argument
        return (f"h'{content.hex()}'" if major == 2 else json.dumps(content.decode(), ensure_ascii=False)), at
    if major == 6:
        inner, at = _item(frame, at)
        return f"{argument}({inner})", at
    parts = []
    for _ in range(argument):
        part, at = _item(frame, at)
        if major == 5:
            value, at = _item(frame, at)
            part = f"{part}: {value}"
        parts.append(part)
    return ("[%s]" if major == 4 else "{%s}") % ", ".join(parts), at


def _special(frame: bytes, at: int) -> tuple[str, int]:
    low = frame[at] & 31
    words = {20: "false", 21: "true", 22: "null", 23: "undefined"}
    if low in words:
        return words[low], at + 1
    size, form = {25: (2, ">e"), 26: (4, ">f"), 27: (8, ">d")}[low]
    (number,) = struct.unpack(form, frame[at + 1 : at + 1 + size])
    if math.isfinite(number):
        return repr(number), at + 1 + size
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)], at + 1 + size
