"""The command form: made from the device's model, checked by the rules the hub checks with."""

from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from dashboard.bridge import NotConnected
from dashboard.fold import shown
from dashboard.look import COMMANDS, Look, look_of
from dashboard.widgets.field import Field
from hub.client.errors import HubFailure
from hub.client.text import safe_text
from hub.model import CommandSpec, Model, ModelError, check_arguments
from hub.wire.messages import FINAL_STATES
from hub.wire.shapes import CommandInfo

if TYPE_CHECKING:
    from dashboard.app import DashboardApp

TIMEOUT = 10.0  # seconds until the command expires: long enough for a device that is busy, short enough to wait for


class SendScreen(ModalScreen[None]):
    """Choose a command, fill in its arguments, send it, see what becomes of it."""

    BINDINGS: ClassVar = [
        Binding("escape", "dismiss", "Close"),
        Binding("ctrl+s", "send", "Send", tooltip="Send it"),
    ]

    def __init__(self, device: str, model: Model) -> None:
        super().__init__()
        self._device = device
        self._specs = list(model.commands.values())
        self._spec = self._specs[0]
        self._began = 0.0
        self._states: list[tuple[str, float]] = []
        self._run = 0  # of those sent from this form: a late word about an earlier one is not shown

    def compose(self) -> ComposeResult:
        look = look_of(self.app)
        with Vertical(id="send-box"):
            title = Text("Command for ", look.muted, end="").append(safe_text(self._device, 40), look.strong)
            yield Static(title, id="send-title", markup=False)
            yield OptionList(
                *(Option(_option(spec, look), id=spec.name) for spec in self._specs), id="commands", markup=False
            )
            yield Static(id="about", markup=False)
            yield VerticalScroll(id="fields", can_focus=False)
            yield Static(id="outcome", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Send", id="send", variant="primary", compact=True)
                yield Button("Close", id="close", compact=True)

    def on_mount(self) -> None:
        options = self.query_one("#commands", OptionList)
        options.highlighted = 0
        options.focus()

    @on(OptionList.OptionHighlighted)
    async def choose(self, event: OptionList.OptionHighlighted) -> None:
        """Another command: its form."""
        self._spec = self._specs[event.option_index]
        look = look_of(self.app)
        about = self._spec.description or ("takes no arguments" if not self._spec.arguments else "")
        self.query_one("#about", Static).update(Text(safe_text(about), look.muted))
        fields = self.query_one("#fields")
        await fields.remove_children()
        await fields.mount(*(Field(argument) for argument in self._spec.arguments))
        self._say(Text(""))

    @on(OptionList.OptionSelected)
    def to_fields(self) -> None:
        """Enter goes on to the first argument, or sends what takes none."""
        first = next(iter(self.query(Field)), None)
        if first is None:
            self.action_send()
        else:
            first.enter()

    @on(Input.Submitted)
    def next_field(self, event: Input.Submitted) -> None:
        """Enter goes on to the next argument, and sends after the last."""
        fields = list(self.query(Field))
        at = next(index for index, field in enumerate(fields) if event.input in field.query(Input))
        if at + 1 < len(fields):
            fields[at + 1].enter()
        else:
            self.action_send()

    @on(Button.Pressed, "#send")
    def action_send(self) -> None:
        """Check what was typed, and send it."""
        args: dict[str, Any] = {}
        trouble = None
        for field in self.query(Field):
            try:
                value = field.value()
            except ModelError as error:
                field.complain(str(error))
                trouble = trouble or field
                continue
            field.complain("")
            if value is not None:
                args[field.argument.name] = value
        if trouble is not None:
            trouble.enter()
            return
        try:
            checked = check_arguments(self._spec, args)
        except ModelError as error:
            self._say(Text(safe_text(str(error)), look_of(self.app).bad))
            return
        self._began, self._states, self._run = monotonic(), [], self._run + 1
        self._say(Text("sending …", look_of(self.app).muted))
        self._send(self._spec, checked, self._run)

    @on(Button.Pressed, "#close")
    def close(self) -> None:
        """The other way out."""
        self.dismiss()

    @work(exclusive=True, group="send", exit_on_error=False)
    async def _send(self, spec: CommandSpec, args: dict[str, Any], run: int) -> None:
        def moved(info: CommandInfo) -> None:  # called in the feed's thread, with every state
            self.app.call_later(self._follow, info, run)

        feed = cast("DashboardApp", self.app).feed
        look = look_of(self.app)
        try:
            info = await feed.send(self._device, spec.name, args, TIMEOUT, moved)
        except (HubFailure, NotConnected) as error:
            self._say(Text(f"✗ {safe_text(str(error))}", look.bad))
            return
        self.app.call_later(self._follow, info, run)

    def _follow(self, info: CommandInfo, run: int) -> None:
        """Show the next state of the command that was sent last."""
        if not self.is_mounted or run != self._run or (self._states and self._states[-1][0] == info["state"]):
            return
        look = look_of(self.app)
        self._states.append((info["state"], monotonic() - self._began))
        text = Text(end="")
        for at, (state, _) in enumerate(self._states):
            text.append(" › " if at else "", look.muted)
            text.append(f"{COMMANDS.get(state, '?')} {safe_text(state)}", look.level(state))
        text.append(f"   {(monotonic() - self._began) * 1000:,.0f} ms", look.muted)
        if info["value"] is not None:
            text.append(f"\n{safe_text(shown(info['value']), 500)}", look.text)
        elif info["state"] not in FINAL_STATES:
            text.append("\nwaiting for the device …", look.muted)
        self._say(text)

    def _say(self, text: Text) -> None:
        for outcome in self.query("#outcome").results(Static):  # none, when a late answer finds the form closed
            outcome.update(text)


def _option(spec: CommandSpec, look: Look) -> Text:
    text = Text(safe_text(spec.name), look.strong, no_wrap=True, overflow="ellipsis", end="")
    arguments = ", ".join(argument.name for argument in spec.arguments)
    return text.append(f"  {safe_text(arguments)}", look.muted)
