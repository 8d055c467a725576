"""Models in TOML: what is right is read, what is wrong is said with file, key and what would be right."""

from pathlib import Path

import pytest

from hub.model import Argument, CommandSpec, Metric, Model, ModelError, ValueType, load_models, parse_model, shipped
from hub.model.units import UNITS, is_unit, nearest_unit

GOOD = """
description = "A tank"
[metrics.level]
unit = "m"
type = "decimal(3)"
min = 0
max = 12.5
warn_max = 11
[metrics.note]
type = "text"
[commands.fill]
description = "Pump water in"
[commands.fill.arguments.litres]
type = "int"
unit = "l"
min = 1
max = 500
[commands.fill.arguments.speed]
type = "text"
choices = ["slow", "fast"]
default = "slow"
[commands.stop]
"""


def test_a_model_is_read() -> None:
    litres = Argument("litres", ValueType("int"), min=1.0, max=500.0, unit="l")
    speed = Argument("speed", ValueType("text"), required=False, default="slow", choices=("slow", "fast"))
    assert parse_model(GOOD, "some/tank.toml") == Model(
        "tank",
        "A tank",
        False,
        {
            "level": Metric("level", "m", ValueType("decimal", 3), 0.0, 12.5, None, 11.0),
            "note": Metric("note", "", ValueType("text")),
        },
        {"fill": CommandSpec("fill", (litres, speed), "Pump water in"), "stop": CommandSpec("stop")},
    )


def test_a_model_travels_as_plain_values() -> None:
    model = parse_model(GOOD, "tank.toml")
    plain = model.to_plain()
    assert plain["metrics"][0] == {
        "name": "level", "unit": "m", "type": "decimal(3)", "min": 0.0, "max": 12.5, "warn_max": 11.0,
        "description": "",
    }  # fmt: skip
    assert Model.from_plain(plain) == model
    for broken in ({}, {**plain, "metrics": [{"name": "x"}]}, {**plain, "metrics": 5}, {**plain, "commands": [[]]}):
        with pytest.raises(ModelError, match="no model of a device"):
            Model.from_plain(broken)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics = ", "not TOML"),
        ("", r"tank.toml: metrics: has none; describe at least one as \[metrics.NAME\], or say open = true"),
        ("colour = 1\n[metrics.x]", "tank.toml: colour: unknown key; allowed here: name, description, open"),
        ("metric = 1", "tank.toml: metric: unknown key; did you mean 'metrics'?"),
        ("[metrics.x]\nunits = 'm'", "tank.toml: metrics.x.units: unknown key; did you mean 'unit'?"),
        ("[metrics.x]\nwarn-max = 3", "metrics.x.warn-max: unknown key; did you mean 'warn_max'?"),
        ("[metrics.x]\nunit = 'C'\nmax = 1\nmin = 2", "metrics.x.min: 2 is above max = 1"),
        ("[metrics.x]\nunit = 'celsius'", "metrics.x.unit: 'celsius' is no SenML unit; did you mean 'Cel'?"),
        ("[metrics.x]\nunit = 'qqqq'", "see RFC 8428"),
        ("[metrics.x]\nunit = 5", "metrics.x.unit: must be a text in quotes, not 5"),
        ("[metrics.x]\ntype = 'double'", "metrics.x.type: 'double' is no value type: use one of float64, float32, int"),
        ("[metrics.x]\ntype = 'decimal(40)'", "n from 0 to 15"),
        ("[metrics.x]\nmin = 'low'", "metrics.x.min: must be a finite number, not 'low'"),
        ("[metrics.x]\nmax = nan", "metrics.x.max: must be a finite number"),
        ("[metrics.x]\nmax = true", "metrics.x.max: must be a finite number"),
        ("[metrics.x]\nwarn_max = 5\nmax = 4", "metrics.x.warn_max: 5 is above max = 4"),
        ("[metrics.x]\ntype = 'text'\nmax = 4", "a text has no limits"),
        ("metrics = 3", r"metrics: must be tables, written \[metrics.NAME\]"),
        ("[metrics]\nx = 3", r"metrics.x: must be a table, written \[metrics.x\]"),
        ("[metrics.'a b']", "metrics.a b: 'a b' is no name"),
        ("name = '-x'\n[metrics.x]", "name: '-x' is no name"),
        ("open = 'yes'", "open: must be true or false, not 'yes'"),
        (
            "open = true\n[commands.go.arguments.x]\ntype = 'float32'",
            "commands.go.arguments.x.type: an argument is one of",
        ),
        ("open = true\n[commands.go.arguments.x]\nchoices = ['a']", "choices: only an argument of type"),
        ("open = true\n[commands.go.arguments.x]\nchoices = 'a'", "choices: must be a list of texts"),
        (
            "open = true\n[commands.go.arguments.x]\nmax = 3\ndefault = 4",
            "x.default: x = 4 is not allowed: a number of at most 3",
        ),
        (
            "open = true\n[commands.go.arguments.x]\nrequired = true\ndefault = 4",
            "x.required: an argument with a default",
        ),
        ("open = true\n[commands.go]\nargs = 3", "commands.go.args: unknown key; did you mean 'arguments'?"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        parse_model(text, "tank.toml")
    assert str(caught.value).startswith("tank.toml: ")


def test_too_many_metrics_are_refused() -> None:
    text = "\n".join(f"[metrics.m{i}]" for i in range(1025))
    with pytest.raises(ModelError, match="metrics: has 1025; a device may have 1024"):
        parse_model(text, "tank.toml")


@pytest.mark.parametrize("text", ["float64", "float32", "int", "bool", "text", "decimal(0)", "decimal(15)"])
def test_value_types_are_written_as_they_are_read(text: str) -> None:
    assert str(ValueType.parse(text)) == text


@pytest.mark.parametrize("text", ["", "decimal", "decimal(n)", "decimal(16)", "decimal(-1)", "Float64", "float64 "])
def test_what_is_no_value_type_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="is no value type"):
        ValueType.parse(text)


def test_a_directory_of_models_is_read(tmp_path: Path) -> None:
    (tmp_path / "tank.toml").write_text(GOOD)
    (tmp_path / "other.toml").write_text('name = "barrel"\n' + GOOD)
    (tmp_path / "notes.txt").write_text("no model")
    assert list(load_models(tmp_path)) == ["barrel", "tank"]
    (tmp_path / "third.toml").write_text('name = "tank"\n' + GOOD)
    with pytest.raises(ModelError, match=r"third.toml: name: there is another model 'tank'"):
        load_models(tmp_path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such directory"):
        load_models(tmp_path / "nowhere")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"bad.toml: cannot be read"):
        load_models(tmp_path)


def test_the_shipped_models_are_as_described() -> None:
    models = load_models()
    assert set(models) == {"weather-station", "cold-chain-freezer", "power-meter", "pump", "air-quality", "host"}
    for model in models.values():
        assert model.description
        assert model.commands["set_interval"].arguments[0].unit == "s"
        assert "identify" in model.commands
        assert Model.from_plain(model.to_plain()) == model
        for metric in model.metrics.values():
            if metric.type.name not in ("bool", "text"):
                assert metric.unit, f"{model.name}.{metric.name} has no unit"
                assert None not in (metric.min, metric.max), f"{model.name}.{metric.name} has no limits"
    assert models["host"].open
    assert not models["pump"].open


def test_shipped_files_are_found() -> None:
    assert (shipped("models") / "pump.toml").is_file()
    with pytest.raises(FileNotFoundError, match=r"configs/nothing.toml is not part of this installation"):
        shipped("nothing.toml")


def test_units_are_those_of_senml() -> None:
    assert is_unit("Cel")
    assert is_unit("")
    assert not is_unit("°C")
    assert nearest_unit("°C") == "Cel"
    assert nearest_unit("rpm") == "1/min"
    assert nearest_unit("kelvin") == "K"
    assert len(UNITS) > 80
