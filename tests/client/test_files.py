from pathlib import Path
from shutil import copy

import pytest

from hub.client import ContextError, Flags, find_context
from tests.client.servers import Trust


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(home: Path, **variables: str) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(home / "config")} | variables


def test_defaults(home: Path) -> None:
    context = find_context(environment=environment(home))
    assert context.url == "wss://localhost:8443"
    assert context.origins["url"] == "default"
    with pytest.raises(ContextError, match="telemetrio init"):
        _ = context.target


def test_a_file_tells_and_its_paths_are_beside_it(home: Path, trust: Trust) -> None:
    folder = home / "config" / "telemetrio"
    folder.mkdir(parents=True)
    copy(trust.ca, folder / "ca.pem")
    (folder / "token").write_text("secret\n")
    (folder / "config.toml").write_text('[client]\nurl = "wss://a:1"\nca = "ca.pem"\ntoken_file = "token"\n')
    target = find_context(environment=environment(home)).target
    assert (target.url, target.ca, target.token) == ("wss://a:1", folder / "ca.pem", "secret")


def test_flag_before_environment_before_this_folder(home: Path) -> None:
    (home / "telemetrio.toml").write_text('[client]\nurl = "wss://file"\n')
    assert find_context(environment=environment(home)).url == "wss://file"
    variables = environment(home, TELEMETRIO_URL="wss://env", TELEMETRIO_CLIENT__CA="x.pem", TELEMETRIO_TOKEN="t")
    context = find_context(environment=variables)
    assert (context.url, context.ca, context.token) == ("wss://env", Path("x.pem"), "t")
    context = find_context(Flags(url="wss://flag"), variables)
    assert context.url == "wss://flag"
    assert context.origins["url"] == "flag"


def test_a_token_file_by_flag_is_before_a_token_of_the_environment(home: Path) -> None:
    (home / "token").write_text("from-file")
    context = find_context(Flags(token_file=home / "token"), environment(home, TELEMETRIO_TOKEN="from env"))
    assert context.token == "from-file"


def test_a_hub_on_a_free_port_tells_its_url(home: Path) -> None:
    (home / "telemetrio.toml").write_text('[hub]\ndata = "d"\n')
    (home / "d").mkdir()
    (home / "d" / "hub.json").write_text('{"url": "wss://localhost:4711"}')
    assert find_context(environment=environment(home)).url == "wss://localhost:4711"
    (home / "telemetrio.toml").write_text('[hub]\ndata = "d"\n[client]\nurl = "wss://localhost:0"\n')
    assert find_context(environment=environment(home)).url == "wss://localhost:4711"
    (home / "d" / "hub.json").unlink()
    assert find_context(environment=environment(home)).url == "wss://localhost:0", "and nobody else's hub"


def test_a_folder_stands_for_its_settings_file(home: Path) -> None:
    (home / "demo").mkdir()
    (home / "demo" / "telemetrio.toml").write_text('[client]\nurl = "wss://demo"\n')
    assert find_context(Flags(config=home / "demo"), environment(home)).url == "wss://demo"


@pytest.mark.parametrize(
    ("content", "words"), [("url = ", "not TOML"), (None, "init"), ('[client]\ntoken_file = "none"\n', "--token-file")]
)
def test_what_is_wrong_is_told(home: Path, content: str | None, words: str) -> None:
    if content is not None:
        (home / "x.toml").write_text(content)
    with pytest.raises(ContextError, match=words):
        find_context(Flags(config=home / "x.toml"), environment(home))


WRONG = {
    'client = "x"': "client: must be a table",
    "[client]\ntokn_file = 'x'": "client.tokn_file: unknown setting; did you mean token_file?",
    "[client]\nurl = 3": "client.url: must be a text in quotes, not 3",
    "[client]\ninsecure_ws = 'yes'": "client.insecure_ws: must be true or false",
    "[client]\nurl = 3\nca = 4": r"client.url.*\n.*client.ca",
}


@pytest.mark.parametrize(("content", "words"), WRONG.items(), ids=WRONG)
def test_a_wrong_key_or_type_is_named(home: Path, content: str, words: str) -> None:
    (home / "telemetrio.toml").write_text(content)
    with pytest.raises(ContextError, match=words):
        find_context(environment=environment(home))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('url = "http://h"', "wss://HOST:PORT"),
        ('url = "ws://far.example"', "plain ws"),
        ('ca = "none.pem"', "none.pem"),
    ],
)
def test_a_place_where_no_hub_can_be_is_a_mistake_in_the_settings(home: Path, content: str, words: str) -> None:
    (home / "telemetrio.toml").write_text(f"[client]\n{content}")
    context = find_context(environment=environment(home, TELEMETRIO_TOKEN="t"))
    with pytest.raises(ContextError, match=words):
        _ = context.target


def test_the_hubs_own_section_is_left_to_the_hub(home: Path) -> None:
    (home / "telemetrio.toml").write_text("hub = 3")
    assert find_context(environment=environment(home)).url == "wss://localhost:8443"


@pytest.mark.parametrize(("name", "value"), [("TOKEN", "two words"), ("TOKEN", "a\r\nb: c"), ("INSECURE_WS", "maybe")])
def test_a_variable_that_cannot_be_meant(home: Path, name: str, value: str) -> None:
    with pytest.raises(ContextError, match=f"TELEMETRIO_{name}"):
        find_context(environment=environment(home, **{f"TELEMETRIO_{name}": value}))


def test_who_has_no_home_needs_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)  # as in a container: no entry of its own anywhere
    monkeypatch.delenv("HOME")
    assert find_context(environment={}).file is None


def test_an_enrol_token_that_is_missing_hinders_nobody(home: Path) -> None:
    (home / "telemetrio.toml").write_text('[client]\nenrol_token_file = "none"\n')
    assert find_context(environment=environment(home)).enrol_token is None


@pytest.mark.parametrize("content", ["", "two words", "two\nlines", "t\u00f6ken", "\x00"])
def test_a_file_that_holds_no_token(home: Path, content: str) -> None:
    (home / "token").write_text(content)
    with pytest.raises(ContextError, match="holds no token"):
        find_context(Flags(token_file=home / "token"), environment(home))


def test_tokens_are_not_in_the_repr(home: Path) -> None:
    assert "hush" not in repr(find_context(environment=environment(home, TELEMETRIO_TOKEN="hush")))
