import pytest
import trio

from hub.cli.exits import STATES, CommandError, Exit, explain
from hub.client import ContextError, HubFailure, Refused, SocketClosed, Unreachable
from hub.config import ConfigError
from hub.model import ModelError
from hub.query import QuestionError
from hub.wire.messages import COMMAND_STATES
from hub.wire.operator import FAILURES


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("x"), 3),
        (Refused(401, "x"), 4),
        (Refused(403, "x"), 4),
        (Refused(503, "x"), 3),
        (SocketClosed(1006, ""), 3),
        (SocketClosed(4002, "revoked"), 4),
        (SocketClosed(1002, "a key must be text of at most 256 bytes"), 2),
        (SocketClosed(1009, ""), 2),
        (ContextError("x"), 2),
        (ConfigError("x"), 2),
        (QuestionError("x"), 2),
        (ModelError("x"), 2),
        (trio.TooSlowError("x"), 124),
        (KeyboardInterrupt(), 130),
        (CommandError("x", Exit.EMPTY), 7),
        (FileNotFoundError(2, "No such file", "x"), 1),
        *((HubFailure(code, "x"), exit) for code, exit in FAILURES.items()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_expected_error_has_its_exit_code(error: BaseException, code: int) -> None:
    told = explain(error)
    assert told is not None
    assert told[0] == code
    assert explain(BaseExceptionGroup("", [error])) == told


def test_what_is_our_own_mistake_is_not_explained_away() -> None:
    assert explain(KeyError("x")) is None
    assert explain(BaseExceptionGroup("", [KeyError("x"), Unreachable("x")])) is None


def test_every_state_of_a_command_has_an_exit_code() -> None:
    assert set(STATES) == set(COMMAND_STATES)
