"""Decide what a project gets: whole files, and keys that are inserted into its Compose file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth.build_context.ignore import Ignore, read_patterns
from twelfth.errors import MisuseError
from twelfth.init import compose_text, databases, new_project
from twelfth.init.survey import App, Member, Survey, flow, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IGNORED = (".git", ".env", ".venv", "**/__pycache__", ".twelfth")
_EXAMPLES = {"**/__pycache__": "app/__pycache__"}
_VERSIONED_BY_GIT = r"setuptools.scm|hatch.vcs|versioningit|dunamai|poetry-dynamic-versioning"
_READS_DOTENV = r"load_dotenv|read_env|env_file|\.env\b"
_MIGRATION_NAMES = ("pre_start", "x-release")

TASKS = '''\
"""Commands of this project: those of twelfth, and yours by `ns.add_task`."""

from twelfth import project

ns = project(__file__)
'''
HEALTHCHECK = """\
healthcheck: # any answer below 500; a route that checks the database is better
  test:
    - CMD
    - python
    - -c
    - |
      from http.client import HTTPConnection
      app = HTTPConnection("127.0.0.1", {port}, timeout=4)
      app.request("GET", "{path}")
      raise SystemExit(app.getresponse().status >= 500)
  interval: 5s
  timeout: 5s
  start_period: 30s
"""
_DUMP = """\
pg-dump: # twelfth pg-dump >dump.sql
  command:
    - sh
    - -c
    - |
      export PGPASSWORD="$$POSTGRES_PASSWORD" PGUSER="$${{POSTGRES_USER:-postgres}}"
      exec pg_dump --host {host} "$${{POSTGRES_DB:-$$PGUSER}}"
  x-twelfth: {{service: {host}, tty: false, help: Print a dump of the database}}
"""


@dataclass(frozen=True)
class FileEdit:
    """A file to create (`before` is None) or to change."""

    path: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Advice:
    """A part that cannot be inserted: why, and the lines to paste."""

    why: str
    snippet: str


@dataclass(frozen=True)
class Proposal:
    """What is proposed; nothing if the project has all of it."""

    edits: tuple[FileEdit, ...]
    advice: tuple[Advice, ...] = ()


def proposal(facts: Survey) -> Proposal:
    """Return what helps a project; raises `MisuseError` if it is not known how it is started."""
    if not facts.files:
        return Proposal(tuple(FileEdit(path, None, text) for path, text in new_project.files().items()))
    created: dict[str, str] = {}
    if not facts.compose_file:
        facts, created = _with_compose_file(facts)
    before = facts.files[facts.compose_file]
    after, advice = _with_keys(before, facts)
    if created:
        created[facts.compose_file] = after
    edits = [FileEdit(path, None, text) for path, text in created.items()]
    if not created and after != before:
        edits = [FileEdit(facts.compose_file, before, after)]
    edits += _ignore_files(facts)
    if _wants_tasks(facts):
        edits.append(FileEdit("tasks.py", None, TASKS))
    return Proposal(tuple(edits), tuple(advice))


def _with_compose_file(facts: Survey) -> tuple[Survey, dict[str, str]]:
    """Return the survey of a project with a Compose file, and the files that it then has in addition."""
    app = next((app for app in facts.apps if not app.directory), None)
    if not app:
        raise MisuseError(
            "cannot propose anything: found no Compose file and no Python application here. "
            "Try: write a Compose file, or invoke init in an empty directory"
        )
    created = {} if app.dockerfile else {"Dockerfile": new_project.dockerfile(app)}
    built = Member("app", {"build": {}}, App("", app.packages, {**app.files, **created}), is_built=True)
    text, model = new_project.compose(app, built.port or new_project.PORT)
    created = {**created, new_project.COMPOSE_FILE: text}
    files = {**facts.files, **created}
    return survey(files, model, new_project.COMPOSE_FILE, newer=facts.reads_pre_start), created


def _with_keys(text: str, facts: Survey) -> tuple[str, list[Advice]]:
    checked = {member.name for member in facts.members if member.has_healthcheck}
    advice = []
    for member in facts.members:
        if not member.has_healthcheck and (snippet := _healthcheck(member)):
            text, refused = _changed(text, _insertion(("services", member.name), snippet))
            advice += refused
            checked |= set() if refused else {member.name}  # a condition needs a healthcheck
    for change in _changes(facts, checked):
        text, refused = _changed(text, change)
        advice += refused
    return text, advice


def _changed(text: str, change: tuple[Callable[[str], str], str]) -> tuple[str, list[Advice]]:
    edit, snippet = change
    try:
        return edit(text), []
    except compose_text.UnchangeableError as error:
        return text, [Advice(str(error), snippet)]


def _changes(facts: Survey, checked: set[str]) -> Iterator[tuple[Callable[[str], str], str]]:
    for member in facts.members:
        yield from _conditions(member, facts, checked)
    yield from _migration(facts)
    yield from _settings(facts)
    yield from _jobs(facts)


def _insertion(path: tuple[str, ...], snippet: str) -> tuple[Callable[[str], str], str]:
    lines = snippet
    for name in reversed(path):
        lines = f"{name}:\n" + "".join(f"  {line}\n" for line in lines.splitlines())
    return lambda text: compose_text.insert(text, path, snippet), lines


def _healthcheck(member: Member) -> str:
    if member.database:
        return databases.healthcheck(member.keys["image"])
    if not (member.app and member.port):
        return ""
    snippet = HEALTHCHECK.format(port=member.port, path=member.app.health_path)
    if member.app.health_path != "/healthz" or member.app.mentions("[\"']/healthz"):
        return snippet.replace(" # any answer below 500; a route that checks the database is better", "")
    return snippet


def _conditions(member: Member, facts: Survey, checked: set[str]) -> Iterator[tuple[Callable[[str], str], str]]:
    """Wait for databases. Conditions that the file has in the long notation are not changed."""
    present = {name: keys["condition"] for name, keys in (member.keys.get("depends_on") or {}).items()}
    missing = [
        dependency.name
        for dependency in facts.members
        if dependency.database
        and dependency.name in checked
        and dependency.name not in present
        and member.is_built
        and member.uses(dependency.name)
    ]
    replaced = present | {
        dependency.name: "service_healthy"
        for dependency in facts.members
        if dependency.database and dependency.name in checked and present.get(dependency.name) == "service_started"
    }
    if present and replaced != present and not _is_long(member.keys["depends_on"], facts, member.name):
        yield lambda text: compose_text.wait_for(text, member.name, replaced), _depends_on(member.name, replaced)
    if missing and not present:
        conditions = dict.fromkeys(missing, "service_healthy")
        lines = _depends_on(member.name, conditions).splitlines()[2:]
        yield _insertion(("services", member.name), "".join(f"{line[4:]}\n" for line in lines))


def _is_long(_: object, facts: Survey, service: str) -> bool:
    return compose_text.is_mapping(facts.files[facts.compose_file], ("services", service, "depends_on"))


def _depends_on(service: str, conditions: dict[str, str]) -> str:
    lines = "".join(f"      {name}:\n        condition: {condition}\n" for name, condition in conditions.items())
    return f"services:\n  {service}:\n    depends_on:\n{lines}"


def _migration(facts: Survey) -> Iterator[tuple[Callable[[str], str], str]]:
    has = any(key in member.keys for member in facts.members for key in _MIGRATION_NAMES)
    if has or any(member.migrates_itself for member in facts.members):
        return
    member = run_member(facts)
    if member and member.app and (command := member.app.migration):
        yield _insertion(("services", member.name), release_command(command, newer=facts.reads_pre_start))


def release_command(command: tuple[str, ...], *, newer: bool) -> str:
    """Return a migration as a snippet of a service."""
    return f"pre_start:\n  - command: {flow(command)}\n" if newer else f"x-release: {flow(command)}\n"


def _settings(facts: Survey) -> Iterator[tuple[Callable[[str], str], str]]:
    settings = facts.model.get("x-twelfth") or {}
    lines, member = "", run_member(facts)
    if "runs-from" not in settings and member and len(_candidates(facts)) > 1:
        lines += f"runs-from: {member.name}\n"
    if "shared" not in settings and (shared := _shared(facts)):
        lines += f"shared: {flow(shared)} # several replicas may write there, so a release is tried first\n"
    if lines and "x-twelfth" in facts.model:
        yield _insertion(("x-twelfth",), lines)
    elif lines:
        yield _insertion((), "x-twelfth:\n" + "".join(f"  {line}\n" for line in lines.splitlines()))


def _shared(facts: Survey) -> tuple[str, ...]:
    """Return what web services write that is not a database, as far as its name shows that."""
    serving = [member for member in facts.members if member.app and member.port]
    return tuple(dict.fromkeys(source for member in serving for source in member.content))


def _candidates(facts: Survey) -> list[Member]:
    """Return the services that runs can be made from, as twelfth does: those that are built, else all."""
    completing = {
        name
        for member in facts.members
        for name, keys in (member.keys.get("depends_on") or {}).items()
        if keys["condition"] == "service_completed_successfully"
    }
    lasting = [member for member in facts.members if member.name not in completing]
    return [member for member in lasting if "build" in member.keys] or lasting


def run_member(facts: Survey) -> Member | None:
    """Return the service that runs are made from: the one with the application, or the only one without data."""
    chosen = (facts.model.get("x-twelfth") or {}).get("runs-from")
    candidates = [member for member in _candidates(facts) if not member.database]
    named = [member for member in candidates if member.name == chosen]
    serving = [member for member in candidates if member.app and member.port]
    choice = named or serving or [member for member in candidates if member.app]
    if not choice and len(candidates) == 1:
        choice = candidates
    return choice[0] if choice else None


def _jobs(facts: Survey) -> Iterator[tuple[Callable[[str], str], str]]:
    if {"jobs", "x-jobs"} & facts.model.keys():
        return
    member, snippet = run_member(facts), ""
    if member and member.app:
        snippet = jobs_of_app(member.app)
    for service in facts.members:
        has_password = "POSTGRES_PASSWORD" in (service.keys.get("environment") or {})
        if service.database == "postgres" and has_password and "pg-dump" not in snippet:
            snippet += _DUMP.format(host=service.name)
    if snippet:
        yield _insertion((), "x-jobs:\n" + "".join(f"  {line}\n" for line in snippet.splitlines()))


def jobs_of_app(app: App) -> str:
    """Return the admin processes that a framework brings."""
    if app.is_django:
        commands = {"createsuperuser": "Create an administrator", "shell": "Open Django's shell"}
        return "".join(_job(name, (*app.runner, "python", "manage.py", name), text) for name, text in commands.items())
    if "flask" in app.packages:
        return _job("shell", (*app.runner, "flask", "shell"), "Open Flask's shell")
    return ""


def _job(name: str, command: tuple[str, ...], summary: str) -> str:
    return f"{name}:\n  command: {flow(command)}\n  x-twelfth: {{help: {summary}}}\n"


def _ignore_files(facts: Survey) -> Iterator[FileEdit]:
    for app in facts.apps or ():
        path = f"{app.directory}/.dockerignore" if app.directory else ".dockerignore"
        before = facts.files.get(path)
        lines = [line for line in _wanted(app) if not _is_ignored(line, before or "", path)]
        if lines and "Dockerfile.dockerignore" not in app.files:
            newline = "\r\n" if "\r\n" in (before or "") else "\n"
            start = before or ""
            start += "" if start.endswith("\n") or not start else newline
            yield FileEdit(path, before, start + "".join(line + newline for line in lines))


def _wanted(app: App) -> Iterator[str]:
    skipped = set()
    if any(re.search(_VERSIONED_BY_GIT, text) for name, text in app.files.items() if "/" not in name):
        skipped.add(".git")
    if app.mentions(_READS_DOTENV):  # the image may need it
        skipped.add(".env")
    if app.mentions(r"COPY.*\.git\b"):
        skipped.add(".git")
    yield from (line for line in IGNORED if line not in skipped)


def _is_ignored(line: str, text: str, name: str) -> bool:
    ignore = Ignore(read_patterns(text.encode(), name), name)
    return ignore.match(_EXAMPLES.get(line, line), ())[0]


def _wants_tasks(facts: Survey) -> bool:
    uses_invoke = any("invoke" in app.packages for app in facts.apps if not app.directory)
    uses_invoke = uses_invoke or bool({"invoke.yaml", "invoke.yml", "invoke.json"} & facts.files.keys())
    return uses_invoke and not any(name.startswith(("tasks.py", "tasks/")) for name in facts.files)
