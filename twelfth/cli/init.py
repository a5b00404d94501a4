"""The command init: read a project's files, show what is proposed as a diff, and write what is confirmed."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.cli.command import command, warn
from twelfth.compose.file_names import NAMES
from twelfth.errors import MisuseError
from twelfth.hints import as_typed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoke.context import Context

    from twelfth.init.proposal import FileEdit, Proposal
    from twelfth.init.survey import Survey

LARGEST_FILE = 1 << 18
MOST_FILES = 2000
DEEPEST = 4
_READ = (
    ".py",
    ".sh",
    ".txt",
    ".in",
    ".toml",
    ".ini",
    "Dockerfile",
    "Dockerfile.dockerignore",
    ".dockerignore",
    "Pipfile",
)
"""Endings of the files whose text is read; of other files only the name is used."""

_SKIPPED = {"node_modules", "venv", "__pycache__", "dist", "build"}


@command(help={"yes": "Write all changes without asking"})
def init(c: Context, yes: bool = False) -> None:
    """Propose changes to this project as a diff, and write them.

    Only what you confirm is written. In an empty directory, it proposes a new project.
    """
    from twelfth.cli.confirmation import is_answerable
    from twelfth.init.proposal import proposal

    directory = Path(c.config.project.directory)
    facts = _survey(directory)
    proposed = proposal(facts)
    _refuse_invalid(directory, facts, proposed)
    if not proposed.edits and not proposed.advice:
        print("nothing to propose")
        return
    asks = not yes and not c.config.run.dry and is_answerable()
    accepted = [] if asks else list(proposed.edits)
    for edit in proposed.edits:
        print(_diff(edit), end="")
    for advice in proposed.advice:
        print(f"\nnot inserted into {facts.compose_file}: {advice.why}. To paste:\n{advice.snippet}", end="")
    if asks:
        accepted = _confirmed(proposed)
    elif not yes or c.config.run.dry:
        if proposed.edits and not c.config.run.dry:
            print(as_typed("nothing was written. Try: invoke init --yes"))
        return
    _write(directory, accepted)
    if not facts.compose_file and accepted:
        print(as_typed("Try: invoke up"))


def _survey(directory: Path) -> Survey:
    from twelfth.compose import cli
    from twelfth.init.survey import survey

    files = dict(_files(directory))
    newer = cli.reads_pre_start(os.environ)
    if not _has_compose_file(directory):
        return survey(files, newer=newer)
    config = cli.read(directory, os.environ, warn)
    name = os.path.relpath(config.files[0], directory)
    return survey({**files, name: _text(config.files[0])}, config.model, name, str(directory), newer=newer)


def _has_compose_file(directory: Path) -> bool:
    dotenv = directory / ".env"
    in_dotenv = dotenv.is_file() and "COMPOSE_FILE" in dotenv.read_text("utf-8", "replace")
    return bool(os.environ.get("COMPOSE_FILE") or in_dotenv or any((directory / name).is_file() for name in NAMES))


def _files(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the files of a project by name, with the text of those that the survey reads."""
    number = 0
    for place, directories, names in os.walk(directory):
        relative = Path(place).relative_to(directory)
        directories[:] = sorted(name for name in directories if name not in _SKIPPED and not name.startswith("."))
        if len(relative.parts) >= DEEPEST:
            directories.clear()
        for name in sorted(names):
            path = Path(place, name)
            if (name.startswith(".") and name != ".dockerignore") or name.startswith(("README", "LICENSE")):
                continue
            if (number := number + 1) > MOST_FILES or not path.is_file():
                return
            is_read = name.endswith(_READ) and path.stat().st_size <= LARGEST_FILE
            yield (relative / name).as_posix(), _text(path) if is_read else ""


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # with its line breaks
    except UnicodeDecodeError as error:
        raise MisuseError(f"cannot read {path}: it is not UTF-8. Try: save it as UTF-8") from error


def _refuse_invalid(directory: Path, facts: Survey, proposed: Proposal) -> None:
    """Raise `MisuseError` if Compose rejects the changed file, which it has accepted before."""
    from twelfth.compose import cli

    for edit in proposed.edits:
        is_compose_file = facts.compose_file == edit.path
        if is_compose_file and (error := cli.refusal(directory, os.environ, edit.after)):
            raise MisuseError(f"cannot change {edit.path}: {error}. Nothing was written")


def _diff(edit: FileEdit) -> str:
    before = (edit.before or "").splitlines()
    source = f"a/{edit.path}" if edit.before is not None else os.devnull
    lines = difflib.unified_diff(before, edit.after.splitlines(), source, f"b/{edit.path}", lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _confirmed(proposed: Proposal) -> list[FileEdit]:
    from twelfth.cli.confirmation import answer

    accepted: list[FileEdit] = []
    for number, edit in enumerate(proposed.edits):
        reply = answer(f"Write {edit.path}? [y/n/all] ")
        if reply in {"a", "all"}:
            return [*accepted, *proposed.edits[number:]]
        if reply in {"y", "yes"}:
            accepted.append(edit)
    return accepted


def _write(directory: Path, edits: list[FileEdit]) -> None:
    from twelfth.cli.atomic_file import written

    paths = {edit: (directory / edit.path).resolve() for edit in edits}
    for edit, path in paths.items():
        _refuse_unwritable(edit, path)
    for edit, path in paths.items():
        path.parent.mkdir(exist_ok=True, parents=True)
        with written(path, replaces=edit.before is not None) as (number, _):
            os.fchmod(number, 0o666 & ~_umask())  # the image's user reads it
            with os.fdopen(os.dup(number), "wb") as file:
                file.write(edit.after.encode())
        print(f"wrote {edit.path}")


def _refuse_unwritable(edit: FileEdit, path: Path) -> None:
    place = next(parent for parent in path.parents if parent.exists())
    if not os.access(place, os.W_OK):
        raise MisuseError(f"cannot write {edit.path}: you may not write to {place}. Try: ls -ld {place}")
    if edit.before is not None and _text(path) != edit.before:
        raise MisuseError(f"cannot write {edit.path}: it has changed meanwhile. Try: invoke init")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
