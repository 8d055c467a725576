from pathlib import Path

import pytest

from hub.client import ContextError, Flags, find_context


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


def test_a_file_tells_and_its_paths_are_beside_it(home: Path) -> None:
    folder = home / "config" / "telemetrio"
    folder.mkdir(parents=True)
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
