"""The migrations of this release: the service counts them, `admin.migrate` applies them."""

from __future__ import annotations

from pathlib import Path

MIGRATIONS = Path(__file__).resolve().parents[1] / "admin" / "migrations"
"""The folder that holds them, one file a revision."""
