"""A stream that can hold back what is sent, so that many small frames leave as one TLS record and one segment.

A device that comes back with a backlog sends thousands of frames of some thirty bytes; each on its own costs it a
TLS record and a system call, and the hub the same again.
"""

from typing import Final

import trio

GATHERED_BYTES: Final = 16 * 1024  # the largest TLS record; more does not make a frame cheaper


class GatheringStream(trio.abc.Stream):
    """Takes over a stream. While ``more`` is set, what is sent waits until ``flush``, or until there is a record full.

    Any number of tasks may send; what they send leaves in the order in which they called.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.more = False
        self._stream = stream
        self._waiting = bytearray()
        self._sending = trio.Lock()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Raises trio.BrokenResourceError or ClosedResourceError, also for what had waited."""
        self._waiting += data
        if not self.more or len(self._waiting) >= GATHERED_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Send what waits. Raises as ``send_all``."""
        async with self._sending:
            data, self._waiting = self._waiting, bytearray()
            if data:
                await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close the stream below; what waits is lost with it."""
        await self._stream.aclose()
