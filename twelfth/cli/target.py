"""Load the stack of a command, its engine and the replica that runs are made from: each when needed, and once."""

from __future__ import annotations

import copy
import functools
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from twelfth.cli.command import warn
from twelfth.cli.hidden import refuse_hidden_jobs
from twelfth.cli.job_names import job_names
from twelfth.engines.choice import NAMES, choose, choose_last, preload, refuse_second_engine
from twelfth.errors import (
    EngineError,
    IdentityError,
    MisuseError,
    NoReleaseError,
    NotUpError,
    NoWorkerError,
    TwelfthError,
)
from twelfth.hints import command_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from invoke.context import Context

    from twelfth.engines.contract import Engine
    from twelfth.model.job import Job
    from twelfth.model.snapshot import Health, Replica
    from twelfth.model.stack import Stack
    from twelfth.stack.stack_file import Location


ASK_EVERY = 0.1
"""Seconds between two checks of whether a deploy is still in progress."""

Need = Literal["runs", "existing", "declared", "release"]
"""What a command needs of a stack: see `Target.engine`."""


class Target:
    """The stack of one command, which stays the same until the command exits."""

    def __init__(
        self, c: Context, release: str = "", service: str = "", *, deploys: bool = False, second_engine: bool = False
    ) -> None:
        """Take the directory and the engine's name from Invoke's context; release and service are the typed options.

        A command that `deploys` may stop processes that an older version has started; it is refused if the stack is on
        another engine, unless `second_engine`.
        """
        self.deploys, self.second_engine, self._is_dry = deploys, second_engine, bool(c.config.run.dry)
        self.directory = Path(c.config.project.directory)
        self.engine_name: str = c.config.engine
        self.release, self.service = release, service
        self._engines: dict[tuple[object, ...], Engine] = {}
        self._chosen: dict[str, Engine] = {}
        self._last: dict[str, Engine | None] = {}
        self._choice_lock = threading.Lock()
        self._is_waiting = False
        self.warn: Callable[[str], None] = warn
        self.job: Job | None = None
        self.has_entry = False
        """Whether the job is in the Compose file."""
        self.needs_volumes = False
        """Whether a run needs the names of the stack's volumes, which are only in the Compose file."""

    def for_job(self, name: str) -> Target:
        """Return this target for a job by its name or command: that of the Compose file, else the program `admin/NAME`.

        The Compose file is read if it has such a job, or if that is not known.
        """
        names = self._job_names(command_name(name))
        declared = name if name in names else {command_name(job): job for job in names}.get(command_name(name))
        if declared and (job := self.named.job(declared)):
            return self.with_job(job)
        from twelfth.model.job import Changes, Job
        from twelfth.model.service import Service

        return self._with_job(Job(name, Changes(Service(name, ""))), has_entry=False)

    def with_job(self, job: Job) -> Target:
        """Return this target for a job of the Compose file."""
        return self._with_job(job, has_entry=True)

    def _with_job(self, job: Job, *, has_entry: bool) -> Target:
        if self.service and job.has_separate_image:
            raise MisuseError(
                f"cannot run {job.name} from service {self.service}: it has a separate image. Omit --service"
            )
        target = copy.copy(self)
        target.__dict__.pop("source", None)
        target.job, target.has_entry = job, has_entry
        target.service = self.service or job.service
        return target

    def _job_names(self, command: str) -> Collection[str]:
        try:
            return job_names(self.directory, lambda: self._current, lambda: self.named)
        except MisuseError:
            was_job = any(command_name(job) == command for location in self.known for job in location.jobs)
            if was_job or not self.known:
                raise
            return ()  # `location` warns of it

    @property
    def required_job(self) -> Job:
        """Return the job of a target that `for_job` or `with_job` has made."""
        if not self.job:
            raise ValueError
        return self.job

    @property
    def file(self) -> str:
        """Return the name of the Compose file."""
        return self.named.files[0].name

    def is_healthy(self, replica: Replica) -> bool:
        """Return whether the healthcheck of a replica passes now."""
        return self.engine().check_health(replica).is_ready

    @functools.cached_property
    def known(self) -> tuple[Location, ...]:
        """Return where stacks of this directory were deployed, the latest first."""
        from twelfth.stack.stack_file import recall

        return recall(self.directory)

    @functools.cached_property
    def _current(self) -> Location | None:
        """Return the only location that the Compose file certainly still names, None if it is not certain."""
        from twelfth.stack.stack_file import certain

        return certain(self.known, self.directory)

    @functools.cached_property
    def location(self) -> Location | None:
        """Return where the stack was deployed last, None if its Compose file has to be read to find it."""
        if self.release or not self.known:
            return None
        if self._current:
            return self._current
        try:
            _ = self.named
        except MisuseError as error:
            self.warn(f"{error}. Using {self.known[0].project}, the stack that was deployed last")
            return self.known[0]
        return None

    def engine(self, need: Need = "runs", scale: Sequence[str] = ()) -> Engine:
        """Return the engine with as much of the stack as the command needs.

        - `runs`: the stack to start runs in. No Compose file is read if it is known where the stack was deployed. Else
          only names are read, so that runs also work in a stack that Compose made from a file with unsupported keys.
        - `existing`: the stack to show or to remove; only its names if the Compose file has unsupported keys.
        - `declared`: the stack as the Compose file declares it.
        - `release`: the declared stack with the release that was named or that the files make, and with these replicas.
        """
        key = (need, self.has_entry, self.needs_volumes, *scale)
        if key not in self._engines:
            self._engines[key] = self._make_engine(need, scale)
        return self._engines[key]

    def _make_engine(self, need: Need, scale: Sequence[str]) -> Engine:
        if need == "release":
            from twelfth.stack import load

            load.scaled(self.declared, scale)  # refuses an invalid number before an engine is chosen
            return self._engine_of_release(self.engine("declared"), scale)
        if need == "declared":
            return self._scaled_as_before(self._adopt(self._choose(self.declared)))
        if need == "existing":
            with suppress(MisuseError):
                return self.engine("declared")
            return self._adopt(self._choose(self.named))
        if self.release:
            return self.engine("declared")
        # A job may declare networks and volumes.
        knows_enough = self.location and not (self.has_entry or self.needs_volumes)
        stack = self.location.stack(self.directory) if self.location and knows_enough else self.named
        return self._adopt(self._choose(stack, trusts_last=True))

    def _adopt(self, engine: Engine) -> Engine:
        if not self._is_dry and (report := engine.adopt_old_state(may_stop=self.deploys)):
            self.warn(report)
        if directory := engine.other_directory():
            project = engine.stack.project
            hint = "To have a separate one here: COMPOSE_PROJECT_NAME=NAME invoke up"
            self.warn(
                f"the stack {project} was deployed from {directory}, and this directory has the same stack. {hint}"
            )
        return engine

    def check_healths(self, *, of_first: bool = False) -> dict[str, Health]:
        """Return the results of the replicas' healthchecks, by id, without reading a Compose file.

        With `of_first`, only one replica of each service is checked. Empty if a file has to be read to find the stack,
        and after an error, which the caller will get, too.
        """
        from twelfth.stack.deploy_record import DIRECTORY
        from twelfth.stack.readiness import first_serving, healths

        if self._current is None:
            return {}
        try:
            engine = self._choose(self._current.stack(self.directory), trusts_last=True)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(engine.state.read, DIRECTORY)  # it takes as long as a healthcheck, and is needed next
                replicas = engine.replicas("")
                results = healths(engine, first_serving(replicas).values() if of_first else replicas)
        except TwelfthError:
            return {}
        return {identity: health for identity, health in results.items() if health.has_check}

    def _choose(self, stack: Stack, *, trusts_last: bool = False) -> Engine:
        """Return the engine of a stack; with `trusts_last`, that of the last deploy without asking any other.

        A command about runs asks no second daemon, so it starts sooner.
        """
        # Once for each project, also if healthchecks run meanwhile: connecting takes as long as several requests.
        with self._choice_lock, self._naming_last(stack) as last:
            engine = self._chosen.get(stack.project) or (self._last_engine(stack, last) if trusts_last else None)
            if engine is None:
                engine = self._chosen[stack.project] = self._choose_by_name(stack, last)
            _ = engine.state  # engines of other declarations share it
            return engine.with_stack(stack)

    @contextmanager
    def _naming_last(self, stack: Stack) -> Iterator[str]:
        """Yield the engine of the last deploy from this directory, "" if it is unknown, and name it in errors."""
        last = next((location.engine for location in self.known if location.project == stack.project), "")
        try:
            yield last
        except EngineError as error:
            if not last or self.engine_name != "auto":
                raise
            raise EngineError(f"the stack {stack.project} was deployed last on {last}: {error}") from error

    def _last_engine(self, stack: Stack, last: str) -> Engine | None:
        if self.engine_name == "auto" and stack.project not in self._last:
            self._last[stack.project] = choose_last(stack, last)
        return self._last.get(stack.project)

    def _choose_by_name(self, stack: Stack, last: str) -> Engine:
        if self.deploys and not self.second_engine and self.engine_name != "auto":
            refuse_second_engine(self.engine_name, stack, last)
        return choose(self.engine_name, stack, last, self._last.get(stack.project))

    def refusal_of_deploy(self, stack: Stack) -> str:
        """Return why `up` would refuse the engine that INVOKE_ENGINE names, and what to type; "" if it would not."""
        if self.engine_name not in NAMES:
            return ""
        try:
            with self._naming_last(stack) as last:
                refuse_second_engine(self.engine_name, stack, last)
        except TwelfthError as error:
            return str(error).removeprefix(f"cannot deploy {stack.project} on {self.engine_name}: ")
        return ""

    @functools.cached_property
    def named(self) -> Stack:
        """Return the stack with the names in the Compose files only."""
        from twelfth.stack.load import load_names

        return self._read(load_names, self.directory, os.environ)

    @functools.cached_property
    def declared(self) -> Stack:
        """Return the stack that the Compose file declares, with the named release or without any."""
        from twelfth.stack.load import load_stack

        stack = self._read(load_stack, self.directory, os.environ, self.release, self.warn)
        refuse_hidden_jobs(job.name for job in stack.jobs)
        return stack

    def _read(self, load: Callable[..., Stack], *arguments: object) -> Stack:
        """Import the engine's client meanwhile: both take equally long."""
        with ThreadPoolExecutor(1) as pool:
            stack = pool.submit(load, *arguments)
            preload(self.known[0].engine if self.known and self.engine_name == "auto" else self.engine_name)
            return stack.result()

    @functools.cached_property
    def source(self) -> Replica:
        """Return the source of runs: a running replica, or the built release that was named.

        Waits while a deploy is in progress.
        """
        from twelfth.runs.source import choose_source, refuse_completing, source_of_job, source_service

        engine = self.engine()
        if self.job and self.job.has_separate_image:
            return source_of_job(engine, self.job, self.release)
        service = self.service or engine.stack.run_service or source_service(self.named).name
        while True:
            try:
                source = choose_source(engine, self.release, service)
                engine.runs.pin(source)
            except (IdentityError, NoReleaseError, NotUpError) as error:
                if self.service:
                    refuse_completing(self.named, source_service(self.named, self.service).name)
                self._wait_for_deploy(error)
            else:
                return source

    def choose_source_again(self) -> Replica:
        """Return the source of runs as it is now."""
        self.__dict__.pop("source", None)
        return self.source

    def _wait_for_deploy(self, error: TwelfthError) -> None:
        """After a deploy there is one release again; without a deploy the error is final."""
        from twelfth.stack.deploy_record import read_deploys

        state = self.engine().state
        if deployer := state.holder():
            if not self._is_waiting:
                self.warn(f"waiting for {deployer}")
            self._is_waiting = True
            time.sleep(ASK_EVERY)
        elif isinstance(error, NoWorkerError) and (deploy := read_deploys(state).latest):
            last = f"the last release was {deploy.release}, of {deploy.at}"
            failure, *hint = re.split("(?=[.;] try: )", str(error), maxsplit=1, flags=re.IGNORECASE)
            raise NoWorkerError(f"{failure}; {last}{''.join(hint)}") from error
        else:
            raise error

    def _scaled_as_before(self, engine: Engine) -> Engine:
        from twelfth.stack.deploy_record import read_deploys, scaled_as_before
        from twelfth.stack.old_record import adopt_old_record
        from twelfth.stack.pins import with_pins

        if not self._is_dry and (report := adopt_old_record(engine)):
            self.warn(report)
        engine = engine.with_stack(scaled_as_before(self.declared, read_deploys(engine.state).scale))
        return with_pins(engine, self.release) if self.release else engine

    def _engine_of_release(self, engine: Engine, scale: Sequence[str]) -> Engine:
        from twelfth.stack import load
        from twelfth.stack.pins import with_pins

        stack = load.scaled(engine.stack, scale)
        if self.release:
            return engine.with_stack(stack)
        return with_pins(engine.with_stack(load.of_current_release(stack, engine.has_buildkit)))
