"""Run an admin process of the service in a forked process, which spares it the time of the imports."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests import forked_invoke
from twelfth_redis import connection

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]


def run(
    program: str, *words: str, environment: Mapping[str, str], stdin: bytes = b"", patience: float = 0.0
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m admin.PROGRAM`; `patience` is the number of seconds that it waits for Redis, if not the usual."""
    work = functools.partial(_be_program, patience)
    variables = {"PATH": os.environ["PATH"], **environment}
    return forked_invoke.run(work, (f"admin.{program}", *words), ROOT, variables, stdin)


def _be_program(patience: float, words: Sequence[str | Path]) -> None:
    if patience:
        connection.PATIENCE_SECONDS = connection.LOADING_SECONDS = patience
    sys.argv = [str(word) for word in words]
    sys.exit(importlib.import_module(sys.argv[0]).main())
