"""Release commands of services in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.model.job import Changes
from twelfth.model.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence


def release_command(*commands: Sequence[str], service: str = "") -> tuple[Changes, ...]:
    """Return a service's `pre_start` with these commands; the settings are those of the service."""
    return tuple(Changes(Service(service, "", command=tuple(command)), frozenset({"command"})) for command in commands)
