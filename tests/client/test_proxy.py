import pytest

from hub.client.proxy import proxy_for


@pytest.mark.parametrize(
    ("exempt", "host", "direct"),
    [
        ("", "hub.example", False),
        ("*", "hub.example", True),
        ("example", "hub.example", True),
        (".example", "hub.example", True),
        ("ample", "hub.example", False),
        ("other, hub.example", "HUB.example", True),
        ("hub.example:8443", "hub.example", True),
        ("hub.example:443", "hub.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("::1", "::1", True),
        ("[::1]:8443", "::1", True),
    ],
)
def test_no_proxy(exempt: str, host: str, direct: bool) -> None:
    proxy = proxy_for(host, 8443, {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": exempt})
    assert proxy == (None if direct else "http://proxy:3128")
