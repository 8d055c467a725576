"""What the settings say reaches the rooms."""

from hub.settings import LimitsSection
from hub.wiring import edge_limits


def test_every_limit_of_a_connection_is_what_the_settings_say() -> None:
    section = LimitsSection(
        idle_seconds=1.5, half_open=3, links=4, dials_per_second=5.5, tls_seconds=6.5,
        request_seconds=7.5, hello_seconds=8.5, flaps_per_minute=9, flap_pause_seconds=10.5,
    )  # fmt: skip
    limits = edge_limits(section)
    assert (limits.silence, limits.half_open, limits.links) == (1.5, 3, 4)
    assert (limits.dials_per_second, limits.tls, limits.request, limits.hello) == (5.5, 6.5, 7.5, 8.5)
    assert (limits.flaps, limits.flap_pause) == (9, 10.5)
