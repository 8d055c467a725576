"""docs/wire.md says what the code does: states, messages, codes."""

import re
from pathlib import Path

import pytest

from hub.wire.errors import CloseCode
from hub.wire.messages import CODES
from hub.wire.operator import OPERATOR_CODES
from hub.wire.states import DEVICE_TRANSITIONS, HUB_TRANSITIONS, State, Table
from hub.wire.typed_arrays import DTYPES

PAGE = Path(__file__).parents[2] / "docs" / "wire.md"


def diagram(table: Table) -> str:
    """A state diagram (Mermaid) of a table of transitions: one arrow for each pair of states."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.OPENING.value}"]
    for before, legal in table.items():
        for after in State:
            words = [kind.__name__ for kind, target in legal.items() if target is after]
            if words:
                lines.append(f"    {before.value} --> {after.value}: {', '.join(words)}")
    return "\n".join(lines)


@pytest.mark.parametrize(("end", "table"), [("hub", HUB_TRANSITIONS), ("device", DEVICE_TRANSITIONS)])
def test_the_diagrams_are_the_tables(end: str, table: Table) -> None:
    assert f"<!-- states of the {end} -->\n```mermaid\n{diagram(table)}\n```" in PAGE.read_text()


def test_every_message_is_on_the_page_with_its_code() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    messages = {str(code): kind.__name__.lower() for kind, code in {**CODES, **OPERATOR_CODES}.items()}
    assert {code: name for code, name in rows.items() if int(code) < 64} == messages


def test_every_close_code_is_on_the_page() -> None:
    rows = re.findall(r"^\| (\d{4}) \| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert rows == [(str(code.value), code.name) for code in CloseCode]


def test_every_typed_array_is_on_the_page() -> None:
    table = PAGE.read_text().split("| typed array |")[1].split("\n\n")[0]
    tags = {int(tag) for line in table.splitlines()[2:] for tag in re.findall(r"\d+", line.split("|")[2].split("(")[0])}
    assert tags == set(DTYPES)
