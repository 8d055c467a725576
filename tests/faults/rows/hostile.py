"""Rows of hostile bytes: conversations with the edge, and frames for the decoder."""

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hub.wire import codec
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import Malformed
from tests.end_to_end.hostile_peers import under_corpus
from tests.faults.hostile import besiege
from tests.faults.lab import Failed, Figures, Lab, Row
from tests.faults.mutations import mutated
from tests.wire.examples import EXAMPLES, VECTORS

CONVERSATIONS, FEW_CONVERSATIONS = 20_000, 400
PROCESSES = 2  # among which they are divided; the corpus runs beside them
SIEGE_SECONDS = 400.0  # on a loaded machine
FRAMES, FEW_FRAMES = 50_000, 5_000
STALL_MS = 25.0  # in which a frame is judged: nothing else runs meanwhile
RSS_MB = 64.0  # that a flood of frames may leave behind
TYPED = frozenset({CloseCode.PROTOCOL, CloseCode.GARBLED, CloseCode.TOO_BIG})


def hostile_peers(lab: Lab) -> Figures:
    """F20: W1 to W9 against a hub process, and mutated conversations with the edge in processes of their own."""
    if lab.quick:
        return _came_of(besiege(lab.scratch, FEW_CONVERSATIONS, lab.seed).__dict__)
    share = CONVERSATIONS // PROCESSES
    sieges = [_siege(lab.scratch / f"siege-{n}", share, lab.seed + n) for n in range(PROCESSES)]
    try:
        corpus = under_corpus(_made(lab.scratch / "corpus"), 1)
        told = [json.loads(siege.communicate(timeout=SIEGE_SECONDS)[0] or "{}") for siege in sieges]
    except AssertionError as failed:
        raise Failed(f"the corpus left something behind: {failed}") from failed
    finally:
        for siege in sieges:
            siege.kill()
    (lab.evidence / "sieges.json").write_text(json.dumps([corpus, *told]))
    figures: Figures = {"corpus": corpus["attacks"], "hub_pid_same": True, "cases": 0, "crashes": 0}
    for one in told:
        for name, figure in _came_of(one).items():
            figures[name] = figures.get(name, 0) + figure
    return figures


def _siege(folder: Path, cases: int, seed: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.faults.hostile", str(_made(folder)), str(cases), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _came_of(siege: dict[str, Any]) -> Figures:
    if not siege:
        raise Failed("a process with mutated conversations ended early")
    figures = {
        "cases": siege["cases"], "crashes": siege["crashed"], "good_acked": siege["good"], "lost": siege["missing"],
        "tasks_left": siege["tasks"][1] - siege["tasks"][0], "half_open": siege["half_open"],
    }  # fmt: skip
    if siege["crashed"] or siege["missing"] or siege["half_open"] or figures["tasks_left"] or not siege["good"]:
        raise Failed(f"the edge did not hold: {siege}", figures)
    return figures


def hostile_frames(lab: Lab) -> Figures:
    """F21: golden vectors, seeded mutations of them, and bombs, through every strict decoder."""
    decoders = (codec.decode_device, codec.decode_hub, codec.decode_request, codec.decode_reply)
    figures: Figures = {"cases": 0, "judged": 0, "refused": 0, "worst_ms": 0.0, "worst_case": ""}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, frame in _frames(lab):
        figures["cases"] += 1
        for decode in decoders:
            began = (
                time.thread_time()
            )  # others run on this machine, too: what it costs is how long the hub stands still
            refused = _judge(decode, frame, name)
            took = round((time.thread_time() - began) * 1000, 2)
            figures["judged"] += 1
            figures["refused"] += refused
            if took > figures["worst_ms"]:
                figures["worst_ms"], figures["worst_case"] = took, name
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    figures["rss_mb"], figures["rss_grown_mb"] = round((before + grown * 1024) / 1024), round(grown, 1)
    if figures["worst_ms"] > STALL_MS or grown > RSS_MB:
        raise Failed(f"a frame stalls the hub, or memory grows: {figures}", figures)
    return figures


def _judge(decode: Any, frame: bytes, name: str) -> bool:
    """Whether it was refused; Failed for all but a message or a refusal with a code, and for a bomb that passes."""
    try:
        message = decode(frame)
        if name in BOMBS and not isinstance(message, Malformed):
            raise Failed(f"{name} passed as {str(message)[:100]}")
    except Failed:
        raise
    except RemoteProtocolError as refusal:
        if refusal.code not in TYPED or not refusal.text:
            raise Failed(f"{name}: {frame.hex()[:200]} was refused without a proper code: {refusal!r}") from refusal
        return True
    except Exception as error:
        raise Failed(f"{name}: {frame.hex()[:200]} raised {error!r}") from error
    return False


def _frames(lab: Lab) -> Iterator[tuple[str, bytes]]:
    vectors = json.loads(VECTORS.read_text())
    sound = [bytes.fromhex(vectors[part][name]["hex"]) for part in EXAMPLES for name in EXAMPLES[part]]
    for frame in sound:
        yield "vector", frame
    yield from (BOMBS | LEGAL).items()
    chance = random.Random(lab.seed)
    for number in range(FEW_FRAMES if lab.quick else FRAMES):
        yield f"mutation {number} of seed {lab.seed}", mutated(chance.choice(sound), chance)


def _colliding(size: int) -> bytes:
    """A map whose integer keys all have one hash: traps.md tells of 2.8 s for 258 KB of them."""
    prime = 2**61 - 1  # the modulus of Python's hash of whole numbers
    pairs = b"".join(b"\x1b" + (1 + n * prime).to_bytes(8, "big") + b"\0" for n in range(7))
    return b"\x83\x06\x01\xb9" + size.to_bytes(2, "big") + (pairs * (size // 7 + 1))[: size * 10]


LARGEST = 65_536
BOMBS = {
    "deep arrays": b"\x81" * LARGEST,
    "deep maps": b"\xa1\x00" * (LARGEST // 2),
    "wide array": b"\x83\x02\x01\x99\xff\xf0" + b"\0" * 65_520,
    "length that is not there": b"\x9b" + b"\xff" * 8,
    "text that is not there": b"\x7b" + b"\xff" * 8,
    "indefinite array": b"\x9f" + b"\0" * 60_000,
    "indefinite text": b"\x82\x08\x7f" + b"\x61a" * 30_000,
    "colliding keys": _colliding(6_000),
    "a key twice": b"\x83\x06\x01\xa2\x61a\x01\x61a\x02",
    "nested tags": b"\xc1" * 60_000,
    "a big number": b"\x82\x08\xc2\x59\xff\x00" + b"\xff" * 65_280,
    "a regular expression": b"\x82\x08\xd8\x23\x78\x40" + b"(a+)+" * 12 + b"aaaa",
    "shared and cyclic": b"\xd8\x1c\x81\xd8\x1d\x00",
    "a date": b"\x82\x08\xc0\x74" + b"2026-01-01T00:00:00Z",
    "bytes after": b"\x82\x08\x61a" + b"\0" * 60_000,
    "too large": b"\x82\x08\x7a\x00\x10\x00\x00" + b"a" * 2**20,
}
#: What is large and as it should be.
LEGAL = {
    "many text keys": b"\x83\x06\x01\xb9\x1f\x40" + b"".join(b"\x65" + b"%05d" % n + b"\0" for n in range(8_000)),
}

ROWS = [Row("F20 hostile peers", hostile_peers, seconds=110.0), Row("F21 hostile frames", hostile_frames)]
