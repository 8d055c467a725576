"""Enrolment over a real link, and tokens that only their owner can read."""

from pathlib import Path
from typing import Any

import pytest

from devices.enrol import BadName, NoToken, Tokens, enrol
from hub.client import HubFailure, Refused, Target
from hub.disk import DiskFiles
from hub.ports import InlineWorker, TcpStreams
from tests.client.fakehub import Fails, FakeHub
from tests.client.servers import Trust

pytestmark = pytest.mark.trio


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(tmp_path_factory.mktemp("trust"))


def tokens_in(folder: Path) -> Tokens:
    return Tokens(folder / "tokens", DiskFiles(), InlineWorker())


async def test_a_token_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    tokens = tokens_in(tmp_path)
    assert await tokens.get("dev-01") is None
    await tokens.keep("dev-01", "secret")
    assert await tokens.get("dev-01") == "secret"
    path = tokens.path("dev-01")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    await tokens.keep("dev-01", "s2")
    assert await tokens.get("dev-01") == "s2"
    await tokens.forget("dev-01")
    assert await tokens.get("dev-01") is None
    assert [each.name for each in path.parent.iterdir()] == []


async def test_a_name_cannot_lead_out_of_the_directory(tmp_path: Path) -> None:
    with pytest.raises(BadName, match="cannot name a device"):
        await tokens_in(tmp_path).get("../../etc/passwd")


async def test_nobody_is_enrolled_whose_token_could_not_be_kept(tmp_path: Path, trust: Trust) -> None:
    (tmp_path / "file").write_text("")
    tokens = Tokens(tmp_path / "file" / "tokens", DiskFiles(), InlineWorker())
    async with FakeHub(verbs={"devices.enroll": {}}, token="enrol-token").serve(trust) as hub:
        with pytest.raises(NotADirectoryError):
            await enrol(Target(hub.url, ca=trust.ca, proxy=""), "enrol-token", tokens, {"a": {}}, TcpStreams())
        assert hub.asked == []
    tokens = tokens_in(tmp_path)
    await tokens.prepare("a")
    assert await tokens.get("a") is None


async def test_only_devices_without_a_token_are_enrolled(tmp_path: Path, trust: Trust) -> None:
    def enroll(args: dict[str, Any]) -> dict[str, str]:
        return {"device": args["device"], "token": f"fresh-{args['device']}"}

    tokens = tokens_in(tmp_path)
    await tokens.keep("b", "old")
    devices = {name: {"site": "roof"} for name in ("a", "b", "c")}
    async with FakeHub(verbs={"devices.enroll": enroll}, token="enrol-token").serve(trust) as hub:
        target = Target(hub.url, ca=trust.ca, proxy="")
        got = await enrol(target, "enrol-token", tokens, devices, TcpStreams())
        assert got == {"a": "fresh-a", "b": "old", "c": "fresh-c"}
        assert sorted(call.args["device"] for call in hub.asked) == ["a", "c"]  # type: ignore[union-attr]
        assert all(call.args["labels"] == {"site": "roof"} for call in hub.asked)  # type: ignore[union-attr]
        again = await enrol(target, None, tokens, devices, TcpStreams())
        assert again == got
        assert len(hub.asked) == 2


async def test_without_an_enrol_token_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoToken, match="dev-01 has no token; give an enrol token"):
        await enrol(Target("wss://localhost:1"), None, tokens_in(tmp_path), {"dev-01": {}}, TcpStreams())


async def test_what_the_hub_refuses_comes_out(tmp_path: Path, trust: Trust) -> None:
    def enroll(args: dict[str, Any]) -> dict[str, str]:
        raise Fails("forbidden", "this token may only look")

    async with FakeHub(verbs={"devices.enroll": enroll}, token="enrol-token").serve(trust) as hub:
        target = Target(hub.url, ca=trust.ca, proxy="")
        with pytest.raises(HubFailure, match="may only look"):
            await enrol(target, "enrol-token", tokens_in(tmp_path), {"a": {}, "b": {}}, TcpStreams())
        with pytest.raises(Refused):
            await enrol(target, "wrong", tokens_in(tmp_path), {"a": {}}, TcpStreams())
