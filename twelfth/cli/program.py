"""Find the project of the working directory, and collect its commands for Invoke."""

from __future__ import annotations

import atexit
import gc
import os
import re
import signal
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.loader import FilesystemLoader
from invoke.program import Program

import twelfth
from twelfth import hints
from twelfth.cli import admin, compose_options, history, init, ps, releases, runs, schedule, services, stack
from twelfth.cli.command import MISUSE, clean_output, failure
from twelfth.cli.configuration import FILES, Configuration
from twelfth.cli.help import print_program_overview
from twelfth.cli.job_commands import job_command
from twelfth.cli.ownership import refuse_foreign
from twelfth.cli.parser import install_parser_extensions
from twelfth.cli.working_directory import working_directory
from twelfth.compose.file_names import NAMES, OVERRIDES
from twelfth.errors import EngineError, MisuseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoke.config import Config
    from invoke.parser.argument import Argument

    from twelfth.cli.command import Command


ALWAYS = (
    *(stack.up, ps.ps, stack.scale, stack.down, stack.status, stack.config, stack.logs, stack.build, stack.unlock),
    *(releases.releases, releases.rollback, releases.prune, releases.pull),
    *(services.exec, services.start, services.restart),
    *(runs.run, runs.wait, runs.stop, history.history, schedule.schedule, init.init),
)
PROGRAM_COMMANDS = "twelfth_redis.commands"
"""The package with commands for some programs of `admin/`; without it, these programs are like all others."""


def collection(directory: Path) -> Collection:
    """Return twelfth's commands for the project in a directory, and one for each program in its `admin/`."""
    install_parser_extensions()
    atexit.register(gc.freeze)  # else Python looks through all modules for garbage before it exits: 40 ms
    programs = {program.command: program for program in admin.programs(directory)}
    tasks = Collection(*ALWAYS, *(task for task in _program_commands() if task.name in programs))
    for program in programs.values():
        if program.command not in tasks.task_names:
            tasks.add_task(job_command(program.name, program.summary))
    tasks.configure({"engine": "auto", "project": {"directory": str(directory)}})
    return tasks


def _program_commands() -> tuple[Command, ...]:
    package, _, _ = PROGRAM_COMMANDS.partition(".")
    if not find_spec(package) or not find_spec(PROGRAM_COMMANDS):
        return ()
    commands: tuple[Command, ...] = import_module(PROGRAM_COMMANDS).COMMANDS
    return commands


class Twelfth(Program):
    """Invoke's program with the commands of one project."""

    def __init__(self) -> None:
        """Start without commands: they depend on the directory, and `--version` needs none."""
        super().__init__(
            version=twelfth.__version__,
            namespace=Collection(),
            name="twelfth",
            binary="twelfth",
            binary_names=["twelfth"],
            config_class=Configuration,
        )

    def core_args(self) -> list[Argument]:
        """Return Compose's options, Invoke's, and `--search-root`, which Invoke offers only without a namespace."""
        search_root = [argument for argument in self.task_args() if argument.name == "search-root"]
        options = [*super().core_args(), *search_root]
        for option in options:
            if option.name in {"config", "pty"}:  # their letters are Compose's
                option.names = (option.name,)
        return [*compose_options.arguments(), *options]

    def print_help(self) -> None:
        """Print the usage, the options that have an effect here, and the commands by subject."""
        print_program_overview(self)

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the options of the program itself, some of which only print something."""
        with clean_output():
            super().parse_core(argv)

    def print_version(self) -> None:
        """Print the versions of twelfth and of the Compose that it calls."""
        from twelfth.compose.cli import version

        super().print_version()
        try:
            print(f"Compose {version(os.environ)}")
        except EngineError as error:
            raise Exit(f"twelfth: {error}", error.exit_code) from error

    def parse_collection(self) -> None:
        """Load the project's commands and its configuration (`invoke.yaml`), as Invoke does next to a `tasks.py`."""
        directory = self._directory()
        package = directory / "tasks"
        files = [directory / name for name in ("tasks.py", "tasks", *FILES, *NAMES, *OVERRIDES, *admin.RUN_HERE)]
        try:
            refuse_foreign(directory, [*files, *package.glob("**/*.py")], os.environ)
        except MisuseError as error:
            raise failure(str(error), error.exit_code) from error
        self.config.set_project_location(str(directory))
        self.config.load_project()
        self.namespace = commands(directory, self.config)
        super().parse_collection()

    def _directory(self) -> Path:
        """Return the project's directory, and set Compose's variables from the options."""
        here = working_directory(os.environ)
        options = compose_options.ComposeOptions.parsed(self.args)
        hints.options[:] = options.words()
        try:
            chosen = options.project_directory(here)
            os.environ.update(options.variables(here))
        except MisuseError as error:
            raise failure(str(error), error.exit_code) from error
        if chosen and not chosen.is_dir():
            raise failure(f"--project-directory {options.directory}: no such directory. Name one that exists", MISUSE)
        return chosen if options.files and chosen else project_directory(chosen or self._start(), os.environ)

    def _start(self) -> Path:
        root = self.args["search-root"].value or self.config.tasks.search_root or ""
        start = Path(os.path.normpath(working_directory(os.environ) / root))
        if not start.is_dir():
            raise failure(f"--search-root {root}: no such directory; name one that exists", MISUSE)
        return start

    def execute(self) -> None:
        """Execute the command, which handles Ctrl-C itself."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        super().execute()


def project_directory(start: Path, environment: Mapping[str, str]) -> Path:
    """Return the nearest directory from `start` upwards that has a Compose file, or `start`.

    As Compose does, which does not search if COMPOSE_FILE names a file.
    """
    if environment.get("COMPOSE_FILE"):
        return start
    return next((path for path in (start, *start.parents) if any((path / name).is_file() for name in NAMES)), start)


def commands(directory: Path, config: Config) -> Collection:
    """Return the commands of a project: twelfth's and, if its `tasks.py` or `tasks/` imports twelfth, its own."""
    if not imports_twelfth(directory / "tasks.py"):
        return collection(directory)
    try:
        module, parent = FilesystemLoader(start=str(directory), config=config).load("tasks")
        tasks = Collection.from_module(module, loaded_from=parent)
    except Exception as error:  # the project's code may raise anything
        raise failure(f"{_location(error, directory)}: {error}", MISUSE) from error
    return tasks if _has_commands(tasks) else _added(collection(directory), tasks)


def _has_commands(tasks: Collection) -> bool:
    return "project" in tasks.configuration() or any(map(_has_commands, tasks.collections.values()))


def _added(commands: Collection, tasks: Collection) -> Collection:
    """Add the tasks of a module without `project(__file__)`, which only imports functions of twelfth."""
    for name, task in tasks.tasks.items():
        commands.add_task(task, name)
    for name, part in tasks.collections.items():
        commands.add_collection(part, name)
    commands.configure(tasks.configuration())
    return commands


def _location(error: Exception, directory: Path) -> str:
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        places.append((str(error.filename), error.lineno))
    of_project = [(Path(file), line) for file, line in places if _is_of_tasks(Path(file), directory)]
    file, line = of_project[-1] if of_project else (directory / "tasks.py", None)
    return f"{file.relative_to(directory)}: line {line}: {type(error).__name__}"


def _is_of_tasks(file: Path, directory: Path) -> bool:
    return file == directory / "tasks.py" or directory / "tasks" in file.parents


def imports_twelfth(tasks: Path) -> bool:
    """Return whether a `tasks.py`, or else a file of the package `tasks/`, imports twelfth, without executing it."""
    package = tasks.with_suffix("")
    if tasks.is_file():
        files = [tasks]
    else:
        files = sorted(package.glob("**/*.py")) if (package / "__init__.py").is_file() else []
    pattern = re.compile(r"^\s*(?:from|import)\s[^#\n]*\btwelfth\b", re.MULTILINE)
    return any(pattern.search(file.read_text("utf-8", errors="replace")) for file in files)
