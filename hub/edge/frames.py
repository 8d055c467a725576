"""WebSocket frames (RFC 6455) as bytes: build the hub's own, and cut what a peer sends into what we take and what the
library gets. Pure: no I/O, no clock.
"""

from typing import Final

import numpy as np

CLOSE: Final = 0x88  # first byte of a close frame: FIN and opcode 8
PING_FRAME: Final = b"\x89\x00"
FIN_BINARY: Final = 0x82  # a whole, unfragmented binary message without reserved bits
MASKED: Final = 0x80
MATRIX_FRAMES: Final = 12  # from so many equal frames on, one numpy matrix is quicker than a loop (measured)
INTEGER_BYTES: Final = 700  # up to here one big-integer xor is quicker than a numpy round trip (measured)


def binary_frame(payload: bytes) -> bytes:
    """A message of the hub: unmasked, unfragmented."""
    size = len(payload)
    if size < 126:
        return bytes((FIN_BINARY, size)) + payload
    if size < 65_536:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str) -> bytes:
    """A close; ``reason`` is cut to what a control frame may carry (123 bytes of UTF-8)."""
    text = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore").encode()
    return bytes((CLOSE, 2 + len(text))) + code.to_bytes(2, "big") + text


def unmask(data: bytes, at: int, size: int) -> bytes:
    """The payload of ``size`` bytes that starts at ``at``, right behind its masking key."""
    if size <= INTEGER_BYTES:
        key = (data[at - 4 : at] * ((size + 3) >> 2))[:size]
        return (int.from_bytes(data[at : at + size], "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
    words = np.frombuffer(data[at : at + size] + bytes(-size & 3), "<u4")
    plain: bytes = (words ^ np.frombuffer(data, "<u4", 1, at - 4)).tobytes()
    return plain[:size]


class Splitter:
    """Reads every header of what a peer sends after the handshake, so that it always knows the boundary.

    ``split()`` gives the whole, unfragmented, masked binary frames, unmasked and in order, as far as the next thing
    that only the library may judge. What the library must see is then in ``passed``; ``ask`` says that it has something
    to say when it has seen it: a message, or the end. Nothing is taken while ``shut`` or while a fragmented message is
    open. After something illegal everything is passed.
    """

    __slots__ = ("_at", "_broken", "_data", "_fragmented", "_held", "_largest", "_left", "_need", "_tell", "ask",
                 "frames", "passed", "passed_frames", "said_close", "shut")  # fmt: skip

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._data = b""  # what is being cut, from _at on
        self._at = 0
        self._held = bytearray()  # the beginning of a frame that is not here as a whole
        self._need = 0  # bytes of it that the next step needs
        self._left = 0  # bytes still to pass of the frame that is going through
        self._tell = False  # the library speaks when that frame is through
        self._fragmented = False
        self._broken = False
        self.shut = True
        self.passed = b""
        self.passed_frames = 0
        self.ask = False
        self.frames = 0  # headers seen, of all kinds
        self.said_close = False  # the peer's close frame has begun

    @property
    def fragmented(self) -> bool:
        """A fragmented message is open."""
        return self._fragmented

    def feed(self, data: bytes) -> None:
        """Add what was received; call it only when ``split`` has come to the end of what was there."""
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                self._data, self._at = b"", 0
                return
            data = bytes(self._held)
            self._held.clear()
        elif self._at < len(self._data):
            data = self._data[self._at :] + data
        self._data, self._at = data, 0

    def split(self) -> list[bytes]:
        """Cut on; see the class."""
        taken: list[bytes] = []
        passed: list[bytes] = []
        self.passed_frames = 0
        self.ask = False
        while self._at < len(self._data) and not self.ask:
            if self._left or self._broken:
                self._pass(passed)
            elif not self._take(taken) and not self._header(passed):
                self._hold()
                break
        self.passed = b"".join(passed)
        return taken

    def _hold(self) -> None:
        """Keep the beginning of a frame; a bytearray, so that dribbled bytes cost no copy each."""
        self._held += self._data[self._at :]
        self._data, self._at = b"", 0

    def _pass(self, passed: list[bytes]) -> None:
        size = len(self._data) - self._at
        if not self._broken:
            size = min(size, self._left)
            self._left -= size
            self.ask = self._tell and not self._left
        else:
            self.ask = True
        passed.append(self._data[self._at : self._at + size])
        self._at += size

    def _take(self, taken: list[bytes]) -> bool:
        """Take as many simple frames as stand here; False when what stands at the end is none, or not whole."""
        data, at, end, largest = self._data, self._at, len(self._data), self._largest
        if self.shut or self._fragmented:
            return False
        add = taken.append
        before = len(taken)
        while end - at >= 6 and data[at] == FIN_BINARY:
            second = data[at + 1]
            if second < MASKED:
                break
            size = second - MASKED
            if size < 126:
                start = at + 6
                stride = 6 + size
                far = at + stride * (MATRIX_FRAMES - 1)
                if far + stride <= end and data[far] == FIN_BINARY and data[far + 1] == second:
                    count = self._matrix(taken, data, at, size)
                    if count:
                        at += count * stride
                        continue
            elif size == 126:
                size = data[at + 2] << 8 | data[at + 3]
                start = at + 8
                if size < 126:
                    break
            else:
                size = int.from_bytes(data[at + 2 : at + 10], "big")
                start = at + 14
                if size < 65_536:
                    break
            if size > largest or start + size > end:
                break
            add(unmask(data, start, size))
            at = start + size
        if at == self._at:
            return False
        self._at = at
        self.frames += len(taken) - before
        return True

    @staticmethod
    def _matrix(taken: list[bytes], data: bytes, at: int, size: int) -> int:
        """Take a run of frames of one size as a matrix; how many there were (0: not worth it)."""
        stride = 6 + size
        rows = (len(data) - at) // stride
        frames = np.frombuffer(data, np.uint8, rows * stride, at).reshape(rows, stride)
        alike = (frames[:, 0] == FIN_BINARY) & (frames[:, 1] == MASKED | size)
        count = rows if alike.all() else int(alike.argmin())
        if count < MATRIX_FRAMES:
            return 0
        keys = np.tile(frames[:count, 2:6], (1, (size + 3) >> 2))[:, :size]
        plain = (frames[:count, 6:] ^ keys).tobytes()
        taken += [plain[i : i + size] for i in range(0, count * size, size)] if size else [b""] * count
        return count

    def _header(self, passed: list[bytes]) -> bool:
        """Read one header of any kind; False when more bytes are needed before anything can be decided."""
        data, at = self._data, self._at
        have = len(data) - at
        if have < 2:
            return self._wait(2)
        first, second = data[at], data[at + 1]
        opcode, size = first & 0x0F, second & 0x7F
        if opcode in (3, 4, 5, 6, 7) or opcode > 10 or (opcode > 7 and (first < 0x80 or size > 125)):
            return self._break()
        header = 2 + {126: 2, 127: 8}.get(size, 0)
        if have < header:
            return self._wait(header)
        if size == 126:
            size = int.from_bytes(data[at + 2 : at + 4], "big")
            wrong = size < 126
        elif size == 127:
            size = int.from_bytes(data[at + 2 : at + 10], "big")
            wrong = size < 65_536 or size >= 1 << 63
        else:
            wrong = False
        if wrong or first & 0x70 or second < MASKED:
            return self._break()
        header += 4
        if have < header:
            return self._wait(header)
        if first == FIN_BINARY and not self.shut and not self._fragmented and size <= self._largest:
            return self._wait(header + size)
        self._through(first, opcode, header + size)
        return True

    def _wait(self, need: int) -> bool:
        self._need = need
        return False

    def _break(self) -> bool:
        self._broken = True
        self.passed_frames += 1
        return True

    def _through(self, first: int, opcode: int, size: int) -> None:
        """Let a whole frame of ``size`` bytes go through to the library."""
        self.frames += 1
        self.passed_frames += 1
        self._left = size
        final = first >= 0x80
        self._tell = opcode == 8 or (opcode < 8 and final)
        self.said_close = self.said_close or opcode == 8
        if opcode < 8:
            self._fragmented = not final
