"""Read the environment."""

from __future__ import annotations

import pytest

from twelfth_redis.errors import SettingsError
from twelfth_redis.settings import Settings, read_settings


def read(**environment: str) -> Settings:
    """Return the settings of an environment."""
    return read_settings(environment)


def test_an_empty_environment_means_the_compose_file() -> None:
    """Redis is the host redis at its usual port; an empty variable counts as unset."""

    assert Settings(host="redis", port=6379) == read(HOST_REDIS="", PORT_REDIS="", REDIS_URL="")


def test_host_and_port_are_taken() -> None:
    """HOST_REDIS and PORT_REDIS are the address."""

    assert Settings(host="::1", port=7000) == read(HOST_REDIS="::1", PORT_REDIS="7000")


def test_the_url_wins_over_both() -> None:
    """REDIS_URL overrides everything, with percent-encoding decoded and TLS for rediss."""
    expected = Settings(
        host="h",
        port=1,
        database=2,
        username="u",
        password="p/ss",  # noqa: S106
        tls=True,
        tls_options=(("ssl_cert_reqs", "none"),),
    )

    url = "rediss://u:p%2Fss@h:1/2?ssl_cert_reqs=none"

    assert expected == read(REDIS_URL=url, HOST_REDIS="x", PORT_REDIS="garbage")


def test_the_address_and_the_repr_hide_the_password() -> None:
    """Shown settings contain no secret."""
    settings = read(REDIS_URL="redis://u:secret@[::1]/1")

    assert "redis://[::1]:6379/1" == settings.address
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", " 6379", "6_379", "٦", "tcp://10.0.0.1:6379", "9" * 5000])
def test_a_garbled_port_is_named(port: str) -> None:
    """The message names the variable and shows the value, shortened."""
    with pytest.raises(SettingsError, match=r"^PORT_REDIS must be a number from 1 to 65535, not ") as refused:
        read(PORT_REDIS=port)

    assert len(str(refused.value)) < 120


@pytest.mark.parametrize("host", ["redis://x", "a b", "a..b", "u@h", "x" * 70, "\n"])
def test_a_garbled_host_is_named(host: str) -> None:
    """A name that cannot be resolved is refused at the start."""
    with pytest.raises(SettingsError, match=r"^HOST_REDIS must contain a host name or address"):
        read(HOST_REDIS=host)


@pytest.mark.parametrize(
    "url",
    [
        "secret",
        "http://:secret@h",
        "redis://:secret/x@h:1",
        "redis://:secret@h:port",
        "redis://:secret@h:70000",
        "redis://:secret@[h",
        "redis://:secret@",
        "redis://:secret@h/zero",
        "redis://:secret@h?retry_on_timeout=true",
        "rediss://:secret@h?retry_on_timeout=true",
        "rediss://:secret@h?ssl_cert_reqs=maybe",
    ],
)
def test_a_garbled_url_is_refused_without_its_password(url: str) -> None:
    """The message says what is wrong and quotes no secret; an option that would make redis-py repeat is refused."""
    with pytest.raises(SettingsError, match="REDIS_URL") as refused:
        read(REDIS_URL=url)

    assert "secret" not in str(refused.value)
