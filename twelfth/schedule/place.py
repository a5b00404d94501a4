"""Where a scheduler runs: the time zone of this machine, and a systemd unit that keeps one running."""

from __future__ import annotations

import os
import sys
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

LOCALTIME = Path("/etc/localtime")
"""The file of the machine's time zone (man 5 localtime)."""

DOCKER = ("HOST", "CONTEXT", "CONFIG", "CERT_PATH", "TLS", "TLS_VERIFY", "API_VERSION")
PASSED = {*(f"DOCKER_{name}" for name in DOCKER), "INVOKE_ENGINE", "XDG_STATE_HOME", "TZ", "LANG"}
"""The variables that decide which stack a scheduler works for and how it reaches it, apart from those of Compose."""

UNIT = """\
[Unit]
Description=Schedules of {project}
After=network-online.target docker.service
Wants=network-online.target

[Service]
User={user}
WorkingDirectory={directory}
{environment}
ExecStart={command}
Restart=always
RestartSec=5
# Runs that a schedule has started are not stopped with the scheduler.
KillMode=process

[Install]
WantedBy=multi-user.target
"""


def machine_zone(environment: Mapping[str, str] = os.environ) -> tzinfo:
    """Return the time zone of this machine, with its changes; raises `MisuseError` if TZ is not the name of one."""
    name = environment.get("TZ", "").removeprefix(":")
    try:
        if name:
            return UTC if name == "UTC" else ZoneInfo(name)
        with LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file, "local")
    except (ValueError, KeyError) as error:
        raise MisuseError(f"TZ is {name}, which is unknown on this machine. Try: TZ=UTC invoke schedule") from error
    except OSError:  # as the C library does
        return UTC


def passed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of this shell that a scheduler needs if another program starts it."""
    return {name: environment[name] for name in sorted(environment) if name in PASSED or name.startswith("COMPOSE_")}


def unit(project: str, directory: Path, user: str, environment: Mapping[str, str]) -> str:
    """Return a systemd unit that keeps a scheduler of a stack running."""
    variables = {"PATH": environment.get("PATH", os.defpath), **passed(environment)}
    return UNIT.format(
        project=project,
        user=user,
        directory=_escaped(str(directory)),
        environment="\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()),
        command=" ".join(_quoted(word).replace("$", "$$") for word in command()),
    )


def command() -> list[str]:
    """Return the words that start a scheduler in the directory of a project, as this program was started."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return [sys.executable, "-m", "twelfth", "schedule"]
    return [sys.executable, str(program.absolute()), "schedule"]


def _quoted(word: str) -> str:
    """Quote a word (man 7 systemd.syntax)."""
    text = _escaped(word).replace("\\", r"\\").replace('"', r"\"")
    return f'"{text}"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
