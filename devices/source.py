"""Where a device's readings come from: physics, a real machine, or a test."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from devices.spool import Numbered
from hub.model import CommandSpec
from hub.wire.messages import Declared, Plain

Progress: TypeAlias = Callable[[Plain], None]
#: Carries out a command with checked arguments; its value is the result. Raises CommandFailed.
Handler: TypeAlias = Callable[[Mapping[str, Any], Progress], Awaitable[Plain]]


class CommandFailed(Exception):
    """The device tried and could not; the text is the result that the operator reads."""


class Source(Protocol):
    """What a device measures and what it can be told to do."""

    @property
    def model(self) -> str:
        """Name of the device's model."""

    @property
    def metrics(self) -> tuple[Declared, ...]:
        """As the birth declares them."""

    @property
    def commands(self) -> Mapping[str, CommandSpec]:
        """The commands of the model, which arguments are checked against."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Who carries out which command."""

    @property
    def period(self) -> float:
        """Seconds from one sample to the next; may change while the device runs."""

    @property
    def properties(self) -> Mapping[str, Plain]:
        """The device's settings, as it reports them; a desired patch goes to ``set_property``."""

    def set_property(self, name: str, value: Plain) -> bool:
        """Take over a desired setting; False when there is no such setting or the value makes no sense."""

    async def sample(self, time: int) -> Sequence[Numbered]:
        """Measure, ``time`` being now in us; batches and events with seq 0, in order. May return none."""
