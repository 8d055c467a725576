"""A gate between devices and a hub: what the hub says can be held back, so that nothing is acked."""

from contextlib import suppress

import trio

CHUNK = 65_536


class Gate:
    """Forwards connections to the hub's port. Use: ``await nursery.start(gate.run)`` gives its own port."""

    def __init__(self, hub_port: int) -> None:
        self._hub_port = hub_port
        self._open = trio.Event()
        self._open.set()

    def hold(self) -> None:
        """From now on devices hear nothing, and go on sending."""
        self._open = trio.Event()

    def release(self) -> None:
        """They hear again."""
        self._open.set()

    async def run(self, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            task_status.started(listeners[0].socket.getsockname()[1])
            await trio.serve_listeners(self._visit, listeners, handler_nursery=nursery)

    async def _visit(self, device: trio.SocketStream) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with (
                device,
                await trio.open_tcp_stream("127.0.0.1", self._hub_port) as hub,
                trio.open_nursery() as both,
            ):
                both.start_soon(self._pump, hub, device, True, both.cancel_scope)
                both.start_soon(self._pump, device, hub, False, both.cancel_scope)

    async def _pump(
        self, source: trio.SocketStream, target: trio.SocketStream, gated: bool, over: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(CHUNK):
                if gated:
                    await self._open.wait()
                await target.send_all(data)
        over.cancel()
