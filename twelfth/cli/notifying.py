"""Send notifications that are due after a command."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from twelfth.cli.command import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twelfth.engines.contract import Engine


@contextlib.contextmanager
def notifying(engine: Engine) -> Iterator[None]:
    """Send the notifications that are due, also those of what is done in the block, however that ends."""
    try:
        yield
    finally:
        if engine.stack.notifications:
            from datetime import UTC, datetime, timedelta

            from twelfth.runs.notifications import deliver_due

            deliver_due(engine, datetime.now(UTC), warn, settled=timedelta())
