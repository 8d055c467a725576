"""The settings: the file that shows them all, the order of their sources, and what is said of mistakes."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from hub.cli.run import run
from hub.config import ConfigError, load, origins
from hub.model.shipped import shipped
from hub.ports import Ports
from hub.settings import Settings
from hub.upkeep.init import Initialised, initialise


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, without settings from anywhere."""
    import os

    for name in [name for name in os.environ if name.startswith("TELEMETRIO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


Write = Callable[[str], Path]


@pytest.fixture
def write(place: Path) -> Write:
    """A settings file with this content."""

    def make(content: str) -> Path:
        file = place / "x.toml"
        file.write_text(content)
        return file

    return make


def mistakes(path: Path | None = None, overrides: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return str(caught.value).splitlines()


# --- configs/hub.toml ---------------------------------------------------------------------------------------------


def sections() -> dict[str, type[BaseModel]]:
    found = {name: field.annotation for name, field in Settings.model_fields.items() if name != "base"}
    assert all(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in found.values())
    return found  # type: ignore[return-value]


def written() -> tuple[dict[str, dict[str, str]], set[str]]:
    """Per section the text after the equals sign of every setting, commented out or not; and which are commented."""
    found: dict[str, dict[str, str]] = {}
    commented: set[str] = set()
    section = ""
    for line in shipped("hub.toml").read_text().splitlines():
        if head := re.match(r"\[(\w+)\]", line):
            section = head[1]
            found[section] = {}
        elif setting := re.match(r"(# )?(\w+) = (.*)", line):
            found[section][setting[2]] = setting[3]
            commented |= {f"{section}.{setting[2]}"} if setting[1] else set()
    return found, commented


def test_the_file_that_shows_all_settings_leaves_none_out_and_makes_none_up() -> None:
    shown, _ = written()
    assert {name: list(keys) for name, keys in shown.items()} == {
        name: list(kind.model_fields) for name, kind in sections().items()
    }


def test_the_file_that_shows_all_settings_shows_their_defaults() -> None:
    _, commented = written()
    tree = tomllib.loads(shipped("hub.toml").read_text())
    for name, kind in sections().items():
        for key, field in kind.model_fields.items():
            default = str(field.default) if isinstance(field.default, Path) else field.default
            if f"{name}.{key}" in commented:
                assert default is None, f"{name}.{key} has a default, so it is written out"
            else:
                assert tree[name][key] == default, f"{name}.{key}"
                assert type(tree[name][key]) is type(default), f"{name}.{key} as people would write it"


def test_every_setting_is_explained() -> None:
    for line in shipped("hub.toml").read_text().splitlines():
        if setting := re.match(r"(# )?\w+ = .*", line):
            assert re.search(r".  +# \S", setting[0]), line


def test_the_file_that_shows_all_settings_can_be_loaded_as_it_is() -> None:
    assert load(shipped("hub.toml")) == Settings(base=shipped("hub.toml").parent)


# --- the order of sources -----------------------------------------------------------------------------------------


def test_flag_before_environment_before_file_before_default(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write('[hub]\nlisten = "127.0.0.1:1"\nhttp = "127.0.0.1:2"\n[limits]\nlinks = 3\n')
    assert load(file).hub.listen == "127.0.0.1:1"
    monkeypatch.setenv("TELEMETRIO_HUB__LISTEN", "127.0.0.1:4")
    monkeypatch.setenv("TELEMETRIO_LIMITS__LINKS", "5")
    assert load(file).hub.listen == "127.0.0.1:4"
    settings = load(file, {"hub": {"listen": "127.0.0.1:6"}})
    assert settings.hub.listen == "127.0.0.1:6"
    assert settings.hub.http == "127.0.0.1:2", "a flag of a section leaves the rest of it alone"
    assert settings.limits.links == 5
    assert settings.limits.half_open == 256


def test_a_relative_path_is_beside_the_file_that_names_it(write: Write, place: Path) -> None:
    settings = load(write('[hub]\ndata = "d"\n[tls]\nkey = "/abs/key"\n'))
    assert settings.data == place / "d"
    assert settings.path(settings.tls.key) == Path("/abs/key")


def test_the_file_is_found_in_this_folder_then_the_users(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().base == Path()
    users = place / "config" / "telemetrio"
    users.mkdir(parents=True)
    (users / "config.toml").write_text('[log]\nlevel = "error"\n')
    assert load().log.level == "error"
    (place / "telemetrio.toml").write_text('[log]\nlevel = "warning"\n')
    assert load().log.level == "warning"
    (place / "named.toml").write_text('[log]\nlevel = "debug"\n')
    monkeypatch.setenv("TELEMETRIO_CONFIG", "named.toml")
    assert load().log.level == "debug"


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[hub]\nlisen = "x"', "hub.lisen: unknown setting; did you mean listen?"),
        ("[limts]\nlinks = 3", "limts: unknown setting; did you mean limits?"),
        ('[hub]\nqwertz = "x"', "hub.qwertz: unknown setting; there are: data, listen, http"),
        ('base = "x"', "base: unknown setting; remove it"),
        ("hub = 3", "hub: must be a table: write [hub] and its settings below it, not 3"),
        ("[hub]\ndata = 3", "hub.data: must be a path, a text in quotes, not 3"),
        ('[hub]\ndata = "a\\u0000b"', "hub.data: 'a\\x00b' holds a zero byte"),
        ('[hub]\nlisten = "0.0.0.0"', "hub.listen: '0.0.0.0' is not HOST:PORT; write for example 127.0.0.1:8443"),
        ('[hub]\nlisten = "h:99999"', "hub.listen: 'h:99999' is not HOST:PORT"),
        ("[log]\nlevel = 7", "log.level: must be 'debug', 'info', 'warning' or 'error', not 7"),
        ('[limits]\nlinks = "many"', "limits.links: must be a whole number, not 'many'"),
        ("[limits]\nlinks = 1.5", "limits.links: must be a whole number, not 1.5"),
        ("[limits]\nlinks = 0", "limits.links: must be at least 1, not 0"),
        ("[limits]\nidle_seconds = inf", "limits.idle_seconds: must be a finite number, not inf"),
        ("[journal]\ngroup_ms = 50", "journal.group_ms: must be at most 10, not 50"),
        ("[journal]\ngroup_ms = nan", "journal.group_ms: must be a finite number, not nan"),
        ("[store]\nquery_seconds = 0", "store.query_seconds: must be more than 0, not 0"),
        ("[tls]\ninsecure_ws = 2", "tls.insecure_ws: must be true or false, not 2"),
        ('[mirror]\nurl = "influx:8086"', "mirror.url: 'influx:8086' is no address of InfluxDB: write http://HOST"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_place_and_what_to_write(content: str, words: str, write: Write) -> None:
    file = write(content)
    (line,) = mistakes(file)
    assert line.startswith(f"{file}: {words}")


def test_all_mistakes_are_told_at_once_each_with_who_made_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write('[hub]\nlisten = "0.0.0.0:1"\nlisen = ""\n[tls]\ninsecure_ws = true\n[journal]\ngroup_ms = 50\n')
    monkeypatch.setenv("TELEMETRIO_LIMITS__LINKS", "many")
    monkeypatch.setenv("TELEMETRIO_LIMTS__LINKS", "3")
    told = mistakes(file, {"log": {"level": "loud"}})
    assert [line.split(": ")[:2] for line in told[:-1]] == [
        ["TELEMETRIO_LIMTS__LINKS", "there is no section [limts]; did you mean limits?"],
        [str(file), "hub.lisen"],
        ["TELEMETRIO_LIMITS__LINKS", "limits.links"],
        [str(file), "journal.group_ms"],
        ["the command line", "log.level"],
    ]
    assert told[-1].startswith("tls.insecure_ws: plain ws is only for loopback, and hub.listen is 0.0.0.0:1")


def test_a_section_in_one_variable_has_to_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRIO_HUB", "listen")
    (line,) = mistakes()
    assert line.startswith("TELEMETRIO_HUB: not JSON")
    monkeypatch.setenv("TELEMETRIO_HUB", '{"listen": "127.0.0.1:7"}')
    assert load().hub.listen == "127.0.0.1:7"


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"[hub", "not TOML"), (b'x = "\xff"', "not UTF-8"), (None, "No such file"), ("folder", "Is a directory")],
)
def test_a_file_that_cannot_be_used(content: bytes | str | None, words: str, place: Path) -> None:
    file = place / "x.toml"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        file.mkdir()
    (line,) = mistakes(file)
    assert words in line
    assert "--config" in line


# --- hub check ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Initialised:
    return initialise(tmp_path_factory.mktemp("hub") / "lab", ["localhost"], Ports())


@pytest.fixture
def check(made: Initialised, place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str]]:
    """``hub check`` of what ``init`` made, with this appended to its settings: exit code and stderr."""

    def call(more: str = "") -> tuple[int, str]:
        for file in made.folder.glob("*.*"):
            if not (place / file.name).exists():
                (place / file.name).write_bytes(file.read_bytes())
        (place / "telemetrio.toml").write_text(made.settings.read_text() + more)
        code = run(["hub", "check", "-c", str(place)])
        told = capsys.readouterr()
        assert told.out == ""
        return code, told.err

    return call


Check = Callable[..., tuple[int, str]]


def test_check_of_what_init_made(check: Check) -> None:
    code, told = check()
    assert code == 0
    assert "the settings are good: 127.0.0.1:8443" in told


def test_check_tells_every_wrong_setting(check: Check) -> None:
    code, told = check("[journal]\ngroup_ms = 50\n[limts]\n[store]\nkind = 'postgres'\n")
    assert code == 2
    assert len(told.splitlines()) == 3
    assert told.startswith("telemetrio: ")


def test_check_opens_certificate_models_and_the_mirrors_token(check: Check, place: Path) -> None:
    (place / "models").mkdir()
    (place / "models" / "m.toml").write_text('descripton = "x"\n')
    (place / "hub.key").mkdir()
    code, told = check("[models]\ndirectory = 'models'\n[mirror]\nurl = 'http://influx:8086'\ntoken_file = 'none'\n")
    assert code == 2
    key, model, token = told.splitlines()
    assert "hub.key: cannot be read (Is a directory)" in key
    assert "m.toml: descripton: unknown key; did you mean 'description'?" in model
    assert "none: No such file or directory: correct mirror.token_file" in token


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("hub.pem", "garbage", "they are not both PEM"),
        ("hub.key", "ca.key", "key values mismatch"),
        ("hub.pem", None, "cannot be read"),
    ],
)
def test_check_of_a_certificate_that_cannot_be_used(
    file: str, content: str | None, words: str, check: Check, made: Initialised, place: Path
) -> None:
    if content is None:
        (place / file).mkdir()
    else:
        other = made.folder / content
        (place / file).write_text(other.read_text() if other.exists() else content)
    code, told = check()
    assert code == 2
    assert file in told
    assert words in told


def test_each_setting_has_an_origin_unless_it_is_a_default(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write('[hub]\nlisten = "127.0.0.1:1"\nhttp = "127.0.0.1:2"')
    monkeypatch.setenv("TELEMETRIO_HUB__HTTP", "127.0.0.1:3")
    monkeypatch.setenv("TELEMETRIO_LOG", '{"level": "debug"}')
    assert origins(file) == {
        "hub.listen": str(file), "hub.http": "TELEMETRIO_HUB__HTTP", "log.level": "TELEMETRIO_LOG",
    }  # fmt: skip
