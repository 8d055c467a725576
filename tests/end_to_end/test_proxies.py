"""The walk with proxies: nginx that ends TLS before the hub, and an HTTP proxy between devices and the hub."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.processes import HubProcess, telemetrio
from tests.end_to_end.proxies import tls_ended_for, tunnels
from tests.end_to_end.walking import Running, lines, online, until, verified


@pytest.mark.slow
def test_a_hub_behind_nginx_that_ends_tls(tmp_path: Path) -> None:
    with HubProcess.make(tmp_path / "lab", settings={"TELEMETRIO_TLS__INSECURE_WS": "true"}) as hub:
        assert hub.url.startswith("ws://")
        address = hub.url.removeprefix("ws://").replace("localhost", "127.0.0.1")
        with tls_ended_for(address, hub.folder, tmp_path / "nginx") as url:
            hub.url = url
            with Running(hub, ("devices", "fleet", "demo", "-n", "5")) as fleet:
                until(lambda: len(online(hub)) == 5, "five devices online through nginx", fleet)
                sent = hub.run("send", "freezer-01", "set_setpoint", "temperature=-21", "-o", "json")
                assert sent.returncode == 0, sent.stderr
                assert [each["state"] for each in json.loads(sent.stdout)] == ["succeeded"]
                tail = lines(hub.run("tail", "pump-01", "-n", "5"))
                assert {each["device"] for each in tail} == {"pump-01"}
                code, report = fleet.stop()
            assert code == 0, fleet.log.read_text()
            assert report["waiting"] == 0
            assert report["reconnects"] == 0
            assert lines(hub.run("query", "--device", "freezer-01", "--last", "10m"))
            told = verified(hub)
        assert told["received"] == told["stored"] + sum(told["rejected"].values()) == report["acked"]
        assert hub.stop() == 0


@pytest.mark.slow
def test_a_device_and_an_operator_through_an_http_proxy(tmp_path: Path) -> None:
    with HubProcess.make(tmp_path / "lab") as hub, tunnels() as proxy:
        behind = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "", "no_proxy": "", "https_proxy": ""}
        there = f"CONNECT {hub.url.removeprefix('wss://')}"
        with Running(hub, ("devices", "host", "--id", "lab-pc"), behind) as host:
            until(lambda: online(hub), "the device online through the proxy", host)
            assert set(proxy.asked) == {there}, "enrolled through it, linked through it, and nothing else"
            asked = len(proxy.asked)
            url = {"TELEMETRIO_URL": hub.url}
            through = telemetrio("send", "lab-pc", "identify", folder=hub.folder, env=url | behind)
            assert through.returncode == 0, through.stderr
            assert proxy.asked[asked:] == [there]
            exempt = telemetrio("devices", "ls", folder=hub.folder, env=url | behind | {"NO_PROXY": "localhost"})
            assert exempt.returncode == 0, exempt.stderr
            assert len(proxy.asked) == asked + 1, "NO_PROXY is obeyed"
            code, report = host.stop()
        assert code == 0, host.log.read_text()
        assert report["sent"] == report["acked"] > 0
        assert verified(hub)["received"] == report["acked"]


def test_a_proxy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with HubProcess.make(tmp_path / "lab") as hub:
        gone = {"TELEMETRIO_URL": hub.url, "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
        failed = telemetrio("devices", "ls", folder=hub.folder, env=gone)
        assert failed.returncode == 3
        assert "127.0.0.1:9" in failed.stderr
        assert "HTTPS_PROXY" in failed.stderr
