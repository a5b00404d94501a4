"""What a project is: its services by Compose's model, and the Python applications in its files."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twelfth.init import databases
from twelfth.model.image_name import is_same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Files = Mapping[str, str]

REQUIREMENTS = re.compile(r"(requirements.*\.(txt|in)|requirements/.*\.txt|pyproject\.toml|Pipfile|setup\.py)")
_PACKAGES = {"django", "flask", "fastapi", "starlette", "flask-migrate", "alembic", "invoke", "gunicorn", "uvicorn"}
_PACKAGES |= {"waitress", "redis", "psycopg", "psycopg2", "psycopg2-binary", "asyncpg", "mysqlclient", "pymysql"}
_APPLICATION = re.compile(
    r"^(?P<name>\w+)(?::\s*\w+)?\s*=\s*(?P<maker>\w*\.?(?:Flask|FastAPI|Starlette|get_wsgi_application|Bottle))\("
    r"|^def (?P<wsgi>app|application)\(\s*environ|^async def (?P<asgi>app|application)\(\s*scope",
    re.MULTILINE,
)
_HEALTH = re.compile(r"""["'](/(?:[\w./-]*/)?(?:healthz?|health[-_]check|readyz|livez|ping)/?)["']""")
_ADDRESS = re.compile(r"(?:.*=)?(?:[\d.]+|\[::\]|\*|localhost)?:(\d{2,5})")
_CONTENT = {"assets", "media", "public", "static", "staticfiles", "uploads"}
"""Words in the names of volumes that web services write to, and that are no databases."""

_WORKERS = re.compile(r"\b(celery|rq|dramatiq|huey|arq|taskiq|flower)\b")
_SELF_MIGRATING = re.compile(r"(manage\.py|django-admin)[\"',\s]+migrate|alembic[\"',\s]+upgrade|db[\"',\s]+upgrade")


@dataclass(frozen=True)
class App:
    """A Python application, in a directory of the project ("" for the project's)."""

    directory: str
    packages: frozenset[str]
    files: Files = field(repr=False)

    @property
    def runner(self) -> tuple[str, ...]:
        """Return the words before a command of its environment, such as `uv run`."""
        dockerfile = self.dockerfile
        match = re.search(r"\b(uv|poetry)[\"',\s]+run\b", dockerfile)
        if not match or ".venv/bin" in dockerfile:
            return ()
        return (match[1], "run", "--no-sync") if match[1] == "uv" else (match[1], "run")

    @property
    def dockerfile(self) -> str:
        """Return the text of its Dockerfile."""
        return self.files.get("Dockerfile", "")

    @property
    def is_django(self) -> bool:
        """Return whether its directory has Django's `manage.py`."""
        return "manage.py" in self.files

    @property
    def migration(self) -> tuple[str, ...]:
        """Return the command that migrates its database, () if it has none that is known."""
        if self.is_django:
            return (*self.runner, "python", "manage.py", "migrate", "--noinput")
        if "flask-migrate" in self.packages and any(name.startswith("migrations/") for name in self.files):
            return (*self.runner, "flask", "db", "upgrade")
        return (*self.runner, "alembic", "upgrade", "head") if "alembic.ini" in self.files else ()

    @property
    def health_path(self) -> str:
        """Return the path of its health route, by default one that no application has: it answers 404."""
        texts = (text for name, text in sorted(self.files.items()) if name.endswith(".py"))
        return next((match[1] for text in texts if (match := _HEALTH.search(text))), "/healthz")

    @property
    def application(self) -> tuple[str, str]:
        """Return the application as `MODULE:NAME`, and `wsgi` or `asgi`; ("", "") without one."""
        for name in sorted(self.files, key=lambda name: (name.count("/"), name)):
            match = _APPLICATION.search(self.files[name]) if name.endswith(".py") and "test" not in name else None
            if match:
                module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                asgi = match["asgi"] or re.search("FastAPI|Starlette", match["maker"] or "")
                return f"{module}:{match['name'] or match['wsgi'] or match['asgi']}", "asgi" if asgi else "wsgi"
        return "", ""

    def mentions(self, pattern: str) -> bool:
        """Return whether a Python file or the Dockerfile matches a regular expression."""
        texts = [text for name, text in self.files.items() if name.endswith((".py", "Dockerfile"))]
        return any(re.search(pattern, text) for text in texts)


@dataclass(frozen=True)
class Member:
    """A service of the Compose file."""

    name: str
    keys: Mapping[str, Any]
    app: App | None
    is_built: bool
    directory: str = "/"
    """The project's directory, from which paths are written in its Compose file."""

    @property
    def database(self) -> str:
        """Return which database it is, "" if it is none."""
        return "" if self.is_built else databases.kind(self.keys.get("image") or "")

    @property
    def has_healthcheck(self) -> bool:
        """Return whether the file or, as far as it is known, the image has a healthcheck."""
        return bool(self.keys.get("healthcheck")) or bool(self.app and "HEALTHCHECK" in self.app.dockerfile)

    @property
    def port(self) -> int:
        """Return the port of its HTTP server, 0 if it has none or if that is not known."""
        if _WORKERS.search(" ".join(self._command)):
            return 0
        targets = [port["target"] for port in self.keys.get("ports") or () if port.get("protocol", "tcp") == "tcp"]
        targets += [int(port) for port in self.keys.get("expose") or () if str(port).isdigit()]
        return next(iter([*targets, *self._port_of_command]), 0)

    @property
    def content(self) -> Iterator[str]:
        """Yield the volumes, and directories of the project, to which it writes content such as uploads."""
        for volume in self.keys.get("volumes") or ():
            source = str(volume.get("source") or "")
            is_writable = volume["type"] in {"volume", "bind"} and not volume.get("read_only")
            if is_writable and _CONTENT.intersection(re.split(r"[-_.]", posixpath.basename(source).lower())):
                path = posixpath.relpath(source, self.directory) if volume["type"] == "bind" else source
                yield f"./{path}" if volume["type"] == "bind" and not path.startswith("..") else path

    @property
    def migrates_itself(self) -> bool:
        """Return whether its command, or a script of its image, migrates the database."""
        text = " ".join(self._command)
        scripts = (
            [text for name, text in self.app.files.items() if name.endswith((".sh", "Dockerfile"))] if self.app else []
        )
        return any(_SELF_MIGRATING.search(text) for text in (text, *scripts))

    def uses(self, service: str) -> bool:
        """Return whether it depends on a service, or names it as a host."""
        values = map(str, (self.keys.get("environment") or {}).values())
        host = re.escape(service)
        if service in (self.keys.get("depends_on") or {}):
            return True
        if any(re.search(rf"(^|[/@]){host}($|[:/])", value) for value in values):
            return True
        return bool(self.app and self.app.mentions(rf"""["'/@]{host}["':]"""))

    @property
    def _command(self) -> list[str]:
        return [str(word) for key in ("entrypoint", "command") for word in self.keys.get(key) or ()]

    @property
    def _port_of_command(self) -> Iterator[int]:
        words = self._command
        if not words and self.app:
            [*_, default] = ["", *re.findall(r"^(?:CMD|ENTRYPOINT)\s+(.*)$", self.app.dockerfile, re.MULTILINE)]
            words = re.split(r"[\s\[\],\"']+", default)
            yield from map(int, re.findall(r"^EXPOSE\s+(\d+)", self.app.dockerfile, re.MULTILINE))
        words = [part for word in words for part in word.split()]
        for previous, word in zip(["", *words], words, strict=False):
            option = re.fullmatch(r"--port=(\d+)", word) or (
                previous in {"--port", "-p"} and re.fullmatch(r"(\d+)", word)
            )
            if match := option or _ADDRESS.fullmatch(word):
                yield int(match[1])


@dataclass(frozen=True)
class Survey:
    """What is known of a project; `files` are its texts by their path, in `/` notation."""

    files: Files = field(repr=False)
    compose_file: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    apps: tuple[App, ...] = ()
    reads_pre_start: bool = False


def survey(
    files: Files,
    model: Mapping[str, Any] | None = None,
    compose_file: str = "",
    directory: str = "",
    *,
    newer: bool = True,
) -> Survey:
    """Return the facts of a project in a directory; `newer` is whether its Compose accepts `pre_start`."""
    if model is None:
        return Survey(files, apps=tuple(_apps(files, {""})), reads_pre_start=newer)
    services = {name: keys or {} for name, keys in (model.get("services") or {}).items()}
    contexts = {name: _context(keys, directory) for name, keys in services.items() if "build" in keys}
    apps = {
        app.directory: app for app in _apps(files, {context for context in contexts.values() if context is not None})
    }
    builders = {keys["image"]: name for name, keys in services.items() if name in contexts and keys.get("image")}
    members = []
    for name, keys in services.items():
        builder = name if name in contexts else _builder(keys.get("image") or "", builders)
        context = contexts.get(builder)
        app = None if context is None else _with_dockerfile(apps.get(context), services[builder]["build"])
        members.append(Member(name, keys, app, bool(builder), directory or "/"))
    return Survey(files, compose_file, model, tuple(members), tuple(apps.values()), newer)


def _builder(image: str, builders: Mapping[str, str]) -> str:
    """Return the service that builds an image, "" if none does."""
    return next((name for built, name in builders.items() if image and is_same(image, built)), "")


def _context(keys: Mapping[str, Any], directory: str) -> str | None:
    """Return a build context relative to the project, None if it is elsewhere."""
    path = posixpath.relpath(str(keys["build"].get("context", "")), directory or "/")
    return None if path.startswith("..") else "" if path == "." else path


def _with_dockerfile(app: App | None, build: Mapping[str, Any]) -> App | None:
    if app is None:
        return None
    text = build.get("dockerfile_inline") or app.files.get(
        posixpath.normpath(build.get("dockerfile") or "Dockerfile"), ""
    )
    return App(app.directory, app.packages, {**app.files, "Dockerfile": text})


def _apps(files: Files, directories: set[str]) -> Iterator[App]:
    for directory in sorted(directories):
        start = f"{directory}/" if directory else ""
        inside = {name.removeprefix(start): text for name, text in files.items() if name.startswith(start)}
        texts = [text for name, text in inside.items() if REQUIREMENTS.fullmatch(name)]
        is_python = texts or "manage.py" in inside or any(name.endswith(".py") and "/" not in name for name in inside)
        if is_python:
            yield App(directory, frozenset(_packages("\n".join(texts))), inside)


def _packages(text: str) -> Iterator[str]:
    for name in _PACKAGES:
        if re.search(
            rf"(^|[\s\"'\[,]){re.escape(name).replace('-', '[-_]')}($|[\s\"'\[\]<>=~!;,@])",
            text,
            re.MULTILINE | re.IGNORECASE,
        ):
            yield name


def flow(words: tuple[str, ...]) -> str:
    """Return a command as a list in YAML's flow style."""
    plain = re.compile(r"[A-Za-z_./-][\w./:=-]*")
    return f"[{', '.join(word if plain.fullmatch(word) else repr(word) for word in words)}]"
