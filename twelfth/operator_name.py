"""Who works with this tool here."""

from __future__ import annotations

import getpass


def operator() -> str:
    """Return who is at the keyboard, as the system tells it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
