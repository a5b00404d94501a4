"""Who uses this tool, as it is recorded."""

from __future__ import annotations

import os
import pwd


def operator() -> str:
    """Return the name of this process's user, and in parentheses who that user says they are.

    The name is the system's: variables such as LOGNAME can say anything. SUDO_USER counts for root alone, as only sudo
    makes root of another user.
    """
    claims = {
        "sudo": os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else "",
        "TWELFTH_OPERATOR": os.environ.get("TWELFTH_OPERATOR", ""),
    }
    claimed = ", ".join(f"{kind} {name}" for kind, name in claims.items() if name)
    return f"{user_name(os.getuid())} ({claimed})" if claimed else user_name(os.getuid())


def user_name(uid: int) -> str:
    """Return the name of a user, `uid N` for one that the system does not know."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
