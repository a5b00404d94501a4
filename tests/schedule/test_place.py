"""The time zone of this machine, and the systemd unit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twelfth.errors import MisuseError
from twelfth.schedule import place


def test_zone_of_the_machine_changes_with_daylight_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from TZ, else from the machine's file; without one it is UTC, as for other programs."""
    summer, winter = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    for variables in ({"TZ": "Europe/Berlin"}, {"TZ": ":Europe/Berlin"}, {}):
        monkeypatch.setattr(place, "LOCALTIME", Path("/usr/share/zoneinfo/Europe/Berlin"))
        zone = place.machine_zone(variables)
        assert [2, 1] == [moment.astimezone(zone).utcoffset() // timedelta(hours=1) for moment in (summer, winter)]  # type: ignore[operator]
    monkeypatch.setattr(place, "LOCALTIME", tmp_path / "missing")
    assert place.machine_zone({}) is UTC
    with pytest.raises(
        MisuseError, match=r"^TZ is Mars, which is unknown on this machine. Try: TZ=UTC invoke schedule"
    ):
        place.machine_zone({"TZ": "Mars"})


def test_unit_is_accepted_by_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a directory and variables of any characters; secrets of the shell are not in it."""
    directory = tmp_path / "my 100% shop"
    directory.mkdir()
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "a $b" / "twelfth")])
    environment = {"PATH": "/bin", "DOCKER_HOST": 'tcp://"x"', "DOCKER_AUTH_CONFIG": "secret", "COMPOSE_FILE": "a\\b"}
    unit = place.unit("shop", directory, "root", environment)

    assert "secret" not in unit
    for line in (
        "User=root",
        f"WorkingDirectory={tmp_path}/my 100%% shop",
        'Environment="DOCKER_HOST=tcp://\\"x\\""',
        'Environment="COMPOSE_FILE=a\\\\b"',
        f'ExecStart="{sys.executable}" "{tmp_path}/a $$b/twelfth" "schedule"',
        "Restart=always",
        "KillMode=process",
    ):
        assert line in unit.splitlines()
    if program := shutil.which("systemd-analyze"):
        (tmp_path / "shop.service").write_text(unit)
        done = subprocess.run(
            [program, "verify", tmp_path / "shop.service"], capture_output=True, text=True, check=False
        )
        assert (0, "") == (done.returncode, done.stderr)


def test_command_of_this_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module has no file to execute."""
    monkeypatch.setattr(sys, "argv", ["/x/twelfth/__main__.py"])
    assert [sys.executable, "-m", "twelfth", "schedule"] == place.command()
