"""What a command is about: an engine with its stack, and what runs are made from, each loaded once a command."""

from __future__ import annotations

import functools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.cli.command import warn
from twelfth.engines import choose, preload
from twelfth.errors import (
    EngineError,
    IdentityError,
    MisuseError,
    NoReleaseError,
    NotUpError,
    NoWorkerError,
    TwelfthError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from invoke.context import Context

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Health, Replica
    from twelfth.model.stack import Stack
    from twelfth.stack.stack_file import Location


ASK_EVERY = 0.1
"""Seconds between two looks whether a deploy goes on."""


class Target:
    """One stack on one engine, as one command sees it from its first step to its last."""

    def __init__(self, c: Context, release: str = "", service: str = "") -> None:
        """Take Invoke's context, which names the project's directory and the engine, and what was named of a source."""
        self.directory = Path(c.config.project.directory)
        self.engine_name: str = c.config.engine
        self.release, self.service = release, service
        self._is_waiting = False

    @functools.cached_property
    def known(self) -> tuple[Location, ...]:
        """Return where stacks of this directory were brought up, the last one first."""
        from twelfth.stack.stack_file import recall

        return recall(self.directory)

    @functools.cached_property
    def _current(self) -> Location | None:
        """Return the only location that the Compose file certainly still names, None if there is none."""
        current = [location for location in self.known if location.is_current(self.directory, os.environ)]
        return current[0] if len(current) == 1 else None

    @functools.cached_property
    def location(self) -> Location | None:
        """Return where the stack was brought up last, None where it has to be found by its Compose file."""
        if self.release or not self.known:
            return None
        if self._current:
            return self._current
        try:
            _ = self.named
        except MisuseError as error:
            warn(f"{error}; going on with the stack that was brought up last, {self.known[0].project}")
            return self.known[0]
        return None

    @functools.cached_property
    def engine(self) -> Engine:
        """Return the engine for what runs: where the stack was brought up last, no Compose file is read.

        Else of the files only names count, so that runs are made from what Compose made, too, whatever it honours.
        """
        if self.release:
            return self.declared_engine
        return self._choose(self.location.stack(self.directory) if self.location else self.named)

    def check_healths(self, *, of_first: bool = False) -> dict[str, Health]:
        """Return the results of the healthchecks that replicas have, by id, without reading a Compose file.

        With `of_first`, only one replica of each service is checked. Empty if a file has to be read to find the stack,
        and after an error, which the caller will get, too.
        """
        from twelfth.stack.readiness import first_serving, healths

        if self._current is None:
            return {}
        try:
            engine = self._choose(self._current.stack(self.directory))
            replicas = engine.observe().replicas
            results = healths(engine, first_serving(replicas).values() if of_first else replicas)
        except TwelfthError:
            return {}
        return {identity: health for identity, health in results.items() if health.has_check}

    @functools.cached_property
    def declared_engine(self) -> Engine:
        """Return the engine with the stack as the Compose file declares it."""
        return self._choose(self.declared)

    @functools.cached_property
    def engine_as_found(self) -> Engine:
        """Return the engine for what is there, to show or to remove it; where not all is honoured, names are enough."""
        try:
            return self.declared_engine
        except MisuseError:
            return self._choose(self.named)

    def _choose(self, stack: Stack) -> Engine:
        """Return the engine; `auto` is the one where this very stack was brought up last: it never moves by itself."""
        last = next((each for each in self.known if each.project == stack.project), None)
        if last is None or self.engine_name != "auto":
            return choose(self.engine_name, stack)
        try:
            return choose(last.engine, stack)
        except EngineError as error:
            raise EngineError(f"the stack {stack.project} was up last on {last.engine}: {error}") from error

    @functools.cached_property
    def named(self) -> Stack:
        """Return what the Compose files name."""
        from twelfth.stack.load import load_names

        return self._read(load_names, self.directory, os.environ)

    @functools.cached_property
    def declared(self) -> Stack:
        """Return the stack that the Compose file declares, of the release that was named or of none in particular."""
        from twelfth.stack.deploy_record import scaled_as_before
        from twelfth.stack.load import load_stack

        return scaled_as_before(self._read(load_stack, self.directory, os.environ, self.release, warn))

    def _read(self, load: Callable[..., Stack], *arguments: object) -> Stack:
        """Return what is loaded; Compose takes as long to answer as the engine's client to be imported."""
        with ThreadPoolExecutor(1) as pool:
            stack = pool.submit(load, *arguments)
            preload(self.known[0].engine if self.known and self.engine_name == "auto" else self.engine_name)
            return stack.result()

    @functools.cached_property
    def source(self) -> Replica:
        """Return what runs are made from: a replica that serves, or the built release that was named."""
        from twelfth.runs.source import choose_source, refuse_completing, source_service

        service = self.service or self.engine.stack.run_service or source_service(self.named).name
        while True:
            try:
                source = choose_source(self.engine, self.release, service)
                self.engine.runs.pin(source)
            except (IdentityError, NoReleaseError, NotUpError) as error:
                if self.service:
                    refuse_completing(self.named, source_service(self.named, self.service).name)
                self._wait_for_deploy(error)
            else:
                return source

    def _wait_for_deploy(self, error: TwelfthError) -> None:
        """Wait a moment where a deploy is under way, after which there will be one release; raises the error else."""
        from twelfth.stack.deploy_record import read_deploys
        from twelfth.stack.lock import holder

        stack = self.engine.stack
        if who := holder(stack):
            if not self._is_waiting:
                warn(f"waiting for {who}")
            self._is_waiting = True
            time.sleep(ASK_EVERY)
        elif isinstance(error, NoWorkerError) and (deployed := read_deploys(stack).deployed):
            last, (what, _, then) = deployed[-1], str(error).partition("; ")
            raise NoWorkerError(f"{what}; the last release was {last.release}, of {last.at}; {then}") from error
        else:
            raise error

    def engine_to_deploy(self, scale: Sequence[str] = ()) -> Engine:
        """Return the engine with the stack of the named release, or of what the files make."""
        from twelfth.stack import load

        stack = load.scaled(self.declared, scale)
        if not self.release:
            stack = load.of_current_release(stack, lambda: self._choose(self.declared).has_buildkit())
        return self._choose(stack)
