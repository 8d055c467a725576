"""A hub that cannot start, or is not there: people are told why, what to do, and by exit code."""

import socket
import subprocess
from pathlib import Path

import pytest

from hub.cli.exits import Exit
from tests.end_to_end.processes import telemetrio
from tests.end_to_end.wrong import Place, said

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(place: Place, tmp_path: Path) -> Path:
    """The settings and certificates of a hub of its own."""
    for name in ("hub.pem", "hub.key", "ca.pem", "admin.token"):
        (tmp_path / name).write_bytes((place.hub.folder / name).read_bytes())
    (tmp_path / "telemetrio.toml").write_text(
        '[hub]\nlisten = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n[client]\nca = "ca.pem"\ntoken_file = "admin.token"\n'
    )
    return tmp_path


def serve(folder: Path, *flags: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return telemetrio("hub", "serve", *flags, folder=folder, env=variables)


def test_a_bad_key_is_named_with_the_nearest_good_one(copy: Path) -> None:
    file = copy / "telemetrio.toml"
    file.write_text(file.read_text().replace("http =", "htp =") + "\n[limts]\n")
    for ran in (serve(copy), telemetrio("hub", "check", folder=copy)):
        said(ran, Exit.USAGE, f"{file}: hub.htp: unknown setting; did you mean http?", "limts", "did you mean limits?")
    assert not (copy / "data").exists(), "nothing was begun"
    file.write_text(file.read_text().replace("token_file", "tokenfile"))
    ran = telemetrio("hub", "status", folder=copy)
    said(ran, Exit.USAGE, f"{file}: client.tokenfile: unknown setting; did you mean token_file?")


def test_a_bad_key_in_a_model_is_named_too(copy: Path) -> None:
    (copy / "models").mkdir()
    (copy / "models" / "kettle.toml").write_text('[metrics.heat]\nunit = "Cel"\nmaximum = 3\n')
    ran = serve(copy, TELEMETRIO_MODELS__DIRECTORY=str(copy / "models"))
    said(ran, Exit.USAGE, "kettle.toml: metrics.heat.maximum: unknown key; did you mean 'max'?")


@pytest.mark.parametrize("which", ["listen", "http"])
def test_a_port_that_is_taken(copy: Path, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = serve(copy, f"--{which}", at)
    said(ran, Exit.USAGE, f"cannot listen on {at} (Address already in use): free it, or write another hub.{which}")
    assert not (copy / "data" / "hub.json").exists()


def test_an_address_of_another_machine(copy: Path) -> None:
    ran = serve(copy, "--listen", "192.0.2.1:0")
    said(ran, Exit.USAGE, "cannot listen on 192.0.2.1:0", "an address of this machine")


def test_a_second_hub_on_the_same_files(place: Place, copy: Path) -> None:
    ran = serve(copy, "--data", str(place.hub.folder / "data"))
    said(ran, Exit.USAGE, f"another hub runs on {place.hub.folder / 'data'}", "stop it", "name another directory")
    assert place.hub.run("hub", "status").returncode == Exit.OK, "the first one goes on"


def test_a_restore_that_did_not_come_to_its_end(place: Place, copy: Path, tmp_path: Path) -> None:
    """A hub that began here anew would know no token, and every device would be sent away for good."""
    backup, data = tmp_path / "backup", copy / "data"
    assert place.hub.run("hub", "backup", str(backup)).returncode == Exit.OK
    (data / "restoring" / "journal").mkdir(parents=True)  # as a restore leaves it that was killed at once
    said(serve(copy), Exit.FAILED, f"a restore into {data} did not come to its end", "telemetrio hub restore BACKUP")
    assert sorted(path.name for path in data.iterdir()) == ["lock", "restoring"], "nothing was begun"
    assert telemetrio("hub", "restore", str(backup), folder=copy).returncode == Exit.OK
    assert not (data / "restoring").exists()
    assert (data / "state.sqlite").exists()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("hub.pem", None, "hub.pem: cannot be read (Is a directory)"),
        ("hub.key", "garbage", "do not fit together (they are not both PEM); name a certificate and its own key"),
        ("hub.pem", "ca.pem", "do not fit together (key values mismatch)"),
        ("hub.key", "", "hub.key: cannot be read (No such file or directory); make certificates with: telemetrio init"),
    ],
    ids=["folder", "garbage", "of another key", "missing"],
)
def test_a_certificate_that_cannot_be_used(copy: Path, file: str, content: str | None, words: str) -> None:
    path = copy / file
    other = path.parent / (content or "none")
    text = other.read_text() if other.is_file() else content
    path.unlink()
    if text is None:
        path.mkdir()
    elif text:
        path.write_text(text)
    for ran in (serve(copy), telemetrio("hub", "check", folder=copy)):
        said(ran, Exit.USAGE, words)


def test_a_data_directory_that_cannot_be(copy: Path) -> None:
    (copy / "data").write_text("a file")
    said(serve(copy), Exit.USAGE, "make it writable, or name another directory with hub.data")


def test_a_state_file_that_is_gone_is_not_taken_for_a_new_hub(copy: Path) -> None:
    (copy / "data" / "journal").mkdir(parents=True)
    (copy / "data" / "journal" / "00000000000000000001.journal").touch()
    state = copy / "data" / "state.sqlite"
    ways = "put back the one of a backup: telemetrio hub restore --state BACKUP"
    for _ in range(2):  # the second time it is there, and empty: as good as gone
        proof = telemetrio("ledger", "--verify", "--url", "wss://localhost:1", folder=copy)
        for ran in (serve(copy), proof):
            said(ran, Exit.FAILED, f"{state} is gone, and with it all tokens. Stop the hub and {ways}")
        assert not state.exists() or not state.stat().st_size
        state.touch()


@pytest.mark.parametrize("words", [("hub", "status"), ("devices", "ls"), ("query",), ("tail",), ("send", "d", "c")])
def test_a_hub_that_is_not_there(copy: Path, words: tuple[str, ...]) -> None:
    with socket.socket() as unheard:  # bound and not listening: nobody else can take the port
        unheard.bind(("127.0.0.1", 0))
        url = f"wss://localhost:{unheard.getsockname()[1]}"
        ran = telemetrio(*words, "--url", url, folder=copy)
    said(ran, Exit.UNREACHABLE, f"nobody listens at {url.removeprefix('wss://')}; start it with 'telemetrio hub serve'")


def test_a_device_whose_hub_is_not_there(copy: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"wss://localhost:{unheard.getsockname()[1]}"
        ran = telemetrio(
            "devices", "run", "--id", "d", "--model", "pump", "--url", url, folder=copy,
            env={"TELEMETRIO_ENROL_TOKEN": "t"},
        )  # fmt: skip
    said(ran, Exit.UNREACHABLE, "nobody listens at")


@pytest.mark.parametrize(
    ("url", "ca", "code", "words"),
    [
        ("http://localhost:1", None, Exit.USAGE, "is not a URL of a hub; write wss://HOST:PORT"),
        ("wss://localhost:99999", None, Exit.USAGE, "is not a URL of a hub; write wss://HOST:PORT"),
        ("ws://far.example:1", None, Exit.USAGE, "plain ws sends the token readable; write wss://"),
        ("HUB", "none.pem", Exit.USAGE, "none.pem cannot be read (No such file or directory); check --ca"),
        ("HUB", "admin.token", Exit.USAGE, "admin.token is not a certificate in PEM; name the hub's ca.pem with --ca"),
        ("HUB", "", Exit.UNREACHABLE, "is of a CA that is not trusted here", ),
        ("HTTP", None, Exit.UNREACHABLE, "does not speak TLS; check the port"),
        ("HUB/elsewhere", None, Exit.UNREACHABLE, "has no such path; check the URL"),
    ],
)  # fmt: skip
def test_a_url_that_leads_nowhere(place: Place, copy: Path, url: str, ca: str | None, code: Exit, words: str) -> None:
    url = url.replace("HUB", place.hub.url).replace("HTTP", place.hub.http.replace("http", "wss"))
    if ca == "":  # another authority, as good as this one
        other = copy / "other"
        assert telemetrio("init", str(other), folder=copy).returncode == 0
        ca = "other/ca.pem"
    flags = () if ca is None else ("--ca", str(copy / ca))
    said(telemetrio("hub", "status", "--url", url, *flags, folder=copy), code, words)


def test_nothing_matches(place: Place) -> None:
    for words in (("query", "nonsense"), ("query", "--device", "none-*"), ("devices", "ls", "none-*")):
        for flags, code in (((), Exit.OK), (("--fail-empty",), Exit.EMPTY)):
            ran = place.hub.run(*words, *flags)
            said(ran, code, "matches")
