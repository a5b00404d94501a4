"""What a command is about: an engine with its stack, and what runs are made from, each loaded once a command."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.cli.command import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke.context import Context

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack


class Target:
    """One stack on one engine, as one command sees it from its first step to its last."""

    def __init__(self, c: Context, release: str = "") -> None:
        """Take Invoke's context, which names the project's directory and the engine, and the release that is named."""
        self.directory = Path(c.config.project.directory)
        self.engine_name: str = c.config.engine
        self.release = release

    @functools.cached_property
    def engine(self) -> Engine:
        """Return the engine with the stack as the Compose file declares it."""
        from twelfth.engines import choose

        return choose(self.engine_name, self.declared)

    @functools.cached_property
    def declared(self) -> Stack:
        """Return the stack that the Compose file declares, of the release that was named or of none in particular."""
        from twelfth.stack.load import load_stack

        return load_stack(self.directory, os.environ, self.release, warn)

    @functools.cached_property
    def source(self) -> Replica:
        """Return what runs are made from: a replica that serves, or the built release that was named."""
        from twelfth.runs.source import choose_source

        return choose_source(self.engine, self.release)

    def engine_to_deploy(self, scale: Sequence[str] = ()) -> Engine:
        """Return the engine with the stack of the named release, which must be built, or of what the files make."""
        from twelfth.engines import choose
        from twelfth.stack import load

        stack = self.declared if self.release else load.load_current_release(self.directory, os.environ, warn)
        engine = choose(self.engine_name, load.scaled(stack, scale))
        if self.release:
            load.require_release(engine, self.release)
        return engine
