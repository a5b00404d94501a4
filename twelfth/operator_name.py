"""Return the operator's name for records."""

from __future__ import annotations

import os
import pwd


def operator() -> str:
    """Return the name of this process's user, followed by unverified names in parentheses.

    The name comes from the system: variables such as LOGNAME can be set to anything. SUDO_USER counts only for root,
    since sudo sets it when it starts a process as root.
    Bytes that are not UTF-8 are escaped: records and labels cannot contain them.
    """
    claims = {
        "sudo": os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else "",
        "TWELFTH_OPERATOR": os.environ.get("TWELFTH_OPERATOR", ""),
    }
    claimed = ", ".join(f"{kind} {name}" for kind, name in claims.items() if name)
    name = f"{user_name(os.getuid())} ({claimed})" if claimed else user_name(os.getuid())
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def user_name(uid: int) -> str:
    """Return the name of a user, `uid N` for one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
