"""The address of the daemon, from the environment."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from twelfth.engines.docker_api import client, contexts, settings, ssh
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty directory of the docker command's settings, with no other setting."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def add_context(config: Path, name: str, host: str) -> str:
    """Add a context as `docker context create` does, and return its identifier."""
    identifier = hashlib.sha256(name.encode()).hexdigest()
    directory = config / "contexts/meta" / identifier
    directory.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    (directory / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": endpoint}}), "utf-8")
    return identifier


def test_context_is_read_without_a_config_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_CONTEXT alone chooses it."""
    add_context(config, "far", "ssh://ann@far")
    monkeypatch.setenv("DOCKER_CONTEXT", "far")

    assert "far" == settings.current_context()
    assert {"base_url": "ssh://ann@far"} == contexts.settings("far")


def test_current_context_is_that_of_the_config_file(config: Path) -> None:
    """Without one it is the default, which has no settings."""
    assert {} == contexts.settings(settings.current_context())
    (config / "config.json").write_text('{"currentContext": "far"}', "utf-8")

    assert "far" == settings.current_context()


def test_tls_material_of_a_context_is_used(config: Path) -> None:
    """It is in a directory next to the metadata."""
    files = config / "contexts/tls" / add_context(config, "far", "tcp://far:2376") / "docker"
    files.mkdir(parents=True)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (files / name).write_text("", "utf-8")
    tls = contexts.settings("far")["tls"]

    assert (str(files / "ca.pem"), True) == (tls.ca_cert, tls.verify)
    assert (str(files / "cert.pem"), str(files / "key.pem")) == tls.cert


def test_missing_context_is_an_error() -> None:
    """No other daemon is used."""
    with pytest.raises(EngineError, match=r"there is no Docker context far\. Try: docker context ls"):
        client.connect(context="far")


@pytest.mark.parametrize(
    ("url", "arguments", "command"),
    [
        ("ssh://far", ["--", "far"], "docker system dial-stdio"),
        ("ssh://ann@far:2222/", ["-p2222", "--", "ann@far"], "docker system dial-stdio"),
        ("ssh://far/a%20b", ["--", "far"], "docker --host=unix:///a%20b system dial-stdio"),
        ("ssh://far/a;b", ["--", "far"], "docker '--host=unix:///a;b' system dial-stdio"),
    ],
)
def test_arguments_of_ssh(url: str, arguments: list[str], command: str) -> None:
    """The address names a user, a port and a socket; nothing of it is an option or a command."""
    assert (arguments, command) == (ssh.destination(url), ssh.remote_command(url))
