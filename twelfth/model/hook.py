"""A hook: a command that is executed in a running replica; a frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.model.service import Pairs


@dataclass(frozen=True)
class Hook:
    """A command, and where its process differs from that of the replica; "" and False stand for the replica's."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: Pairs = ()
