"""The files of a new project, and those that a project without a Compose file gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from twelfth.init.survey import App

PORT = 8000
COMPOSE_FILE = "compose.yaml"
TEMPLATE = {
    ".dockerignore": "dockerignore",
    "Dockerfile": "Dockerfile",
    "admin/reset.py": "admin/reset.py",
    "app.py": "app.py",
    COMPOSE_FILE: COMPOSE_FILE,
    "requirements.txt": "requirements.txt",
}
"""The files of a new project, and their names in `template/`."""

_APP = """\
services:
  app:
    build:
      context: .
    init: true
    ports:
      - "127.0.0.1:${{PORT:-8000}}:{port}"
"""
_DATABASES = {
    "postgres": (
        {"psycopg", "psycopg2", "psycopg2-binary", "asyncpg"},
        "postgres:17",
        "DATABASE_URL: postgresql://postgres:${POSTGRES_PASSWORD:-postgres}@postgres:5432/postgres",
        "/var/lib/postgresql/data",
        "    environment:\n      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-postgres}\n",
    ),
    "mysql": (
        {"mysqlclient", "pymysql"},
        "mysql:8.4",
        "DATABASE_URL: mysql://root:${MYSQL_ROOT_PASSWORD:-mysql}@mysql:3306/app",
        "/var/lib/mysql",
        "    environment:\n      MYSQL_ROOT_PASSWORD: ${MYSQL_ROOT_PASSWORD:-mysql}\n      MYSQL_DATABASE: app\n",
    ),
    "redis": ({"redis", "celery", "rq"}, "redis:8.0", "REDIS_URL: redis://redis:6379/0", "/data", ""),
}
"""Databases: the packages of their clients, image, variable of the application, data and keys of the service."""

_INSTALLATIONS = (
    (
        "uv.lock",
        "COPY . .\nRUN pip install --no-cache-dir uv && uv sync --frozen --no-dev\n",
        "ENV PATH=/app/.venv/bin:$PATH\n",
    ),
    (
        "poetry.lock",
        (
            "COPY . .\nRUN pip install --no-cache-dir poetry && poetry config virtualenvs.create false \\\n"
            " && poetry install --only main --no-root\n"
        ),
        "",
    ),
    ("requirements.txt", "COPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\nCOPY . .\n", ""),
    ("pyproject.toml", "COPY . .\nRUN pip install --no-cache-dir .\n", ""),
)


def files() -> dict[str, str]:
    """Return the files of a new project."""
    from importlib.resources import files

    template = files("twelfth.init") / "template"
    return {path: (template / name).read_text("utf-8") for path, name in TEMPLATE.items()}


def dockerfile(app: App) -> str:
    """Return a Dockerfile that starts an application; raises `MisuseError` if its server is not known."""
    [(_, installation, path), *_] = [*(row for row in _INSTALLATIONS if row[0] in app.files), ("", "COPY . .\n", "")]
    start = ", ".join(f'"{word}"' for word in _start(app))
    head = "ARG PYTHON_IMAGE=python:3.13-slim\nFROM ${PYTHON_IMAGE}\nENV PYTHONUNBUFFERED=1\nWORKDIR /app\n"
    return f"{head}{installation}{path}EXPOSE {PORT}\nCMD [{start}]\n"


def _start(app: App) -> list[str]:
    target, kind = _target(app)
    address = f"0.0.0.0:{PORT}"
    if target and kind == "wsgi" and "gunicorn" in app.packages:
        return ["gunicorn", "--bind", address, target]
    if target and kind == "wsgi" and "waitress" in app.packages:
        return ["waitress-serve", f"--listen={address}", target]
    if app.is_django:
        return ["python", "manage.py", "runserver", address]
    if target and "flask" in app.packages:
        return ["flask", "--app", target, "run", "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 - a container's
    if target and kind == "asgi" and app.packages & {"uvicorn", "fastapi"}:
        return ["uvicorn", "--host", "0.0.0.0", "--port", str(PORT), target]  # noqa: S104 - a container's
    if target:
        server = "gunicorn" if kind == "wsgi" else "uvicorn"
        raise MisuseError(f"cannot write a Dockerfile: {target} needs a server. Try: echo {server} >>requirements.txt")
    raise MisuseError(
        "cannot write a Dockerfile: the files contain no WSGI or ASGI application. "
        "Try: write a Dockerfile, then invoke init"
    )


def _target(app: App) -> tuple[str, str]:
    settings = sorted(name for name in app.files if name.endswith("wsgi.py"))
    if app.is_django and settings:
        return settings[0].removesuffix(".py").replace("/", "."), "wsgi"
    return app.application


def compose(app: App, port: int) -> tuple[str, dict[str, Any]]:
    """Return a Compose file for an application and its databases, and its model."""
    chosen = {name: row for name, row in _DATABASES.items() if app.packages & row[0]}
    variables = [row[2] for row in chosen.values()]
    text = _APP.format(port=port)
    if variables:
        text += "    environment:\n" + "".join(f"      {line}\n" for line in variables)
    for name, (_, image, _, data, keys) in chosen.items():
        text += f"  {name}:\n    image: {image}\n{keys}    volumes:\n      - {name}-data:{data}\n"
    if chosen:
        text += "\nvolumes:\n" + "".join(f"  {name}-data: {{}}\n" for name in chosen)
    services: dict[str, Any] = {
        name: {"image": row[1], "environment": {"POSTGRES_PASSWORD": ""} if name == "postgres" else {}}
        for name, row in chosen.items()
    }
    services["app"] = {
        "build": {"context": "/"},
        "ports": [{"target": port}],
        "environment": dict(line.split(": ", 1) for line in variables),
    }
    return text, {"services": services}
