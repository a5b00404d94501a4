"""Databases by the name of their image, and how each reports that it is ready."""

from __future__ import annotations

from twelfth.model.image_name import image_name

_TIMES = """\
  interval: 5s
  timeout: 5s
  retries: 10
"""
_POSTGRES = """\
healthcheck:
  test: [CMD-SHELL, 'pg_isready --host 127.0.0.1 --username "$${POSTGRES_USER:-postgres}"']
"""
# `redis-cli ping` exits with 0 while data is loaded; a server that wants a password has loaded it.
_REDIS = """\
healthcheck:
  test: [CMD-SHELL, "redis-cli ping | grep -qE 'PONG|NOAUTH'"]
"""
_MYSQL = """\
healthcheck:
  test: [CMD-SHELL, "mysqladmin ping --host 127.0.0.1 --silent"]
"""
_MARIADB = """\
healthcheck:
  test: [CMD, healthcheck.sh, --connect, --innodb_initialized]
"""
_BY_NAME = {
    "postgres": ("postgres", _POSTGRES),
    "postgis": ("postgres", _POSTGRES),
    "pgvector": ("postgres", _POSTGRES),
    "redis": ("redis", _REDIS),
    "valkey": ("redis", _REDIS.replace("redis-cli", "valkey-cli")),
    "mysql": ("mysql", _MYSQL),
    "mariadb": ("mysql", _MARIADB),
}


def kind(image: str) -> str:
    """Return `postgres`, `redis` or `mysql`, "" for another image."""
    return _BY_NAME.get(_name(image), ("", ""))[0]


def healthcheck(image: str) -> str:
    """Return the healthcheck of a database, as a snippet of its service."""
    return _BY_NAME[_name(image)][1] + _TIMES


def _name(image: str) -> str:
    return image_name(image).repository.rpartition("/")[2] if image else ""
