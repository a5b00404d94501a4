"""The migrations of this release: the service counts them, `admin.migrate` applies them."""

from pathlib import Path

MIGRATIONS = Path(__file__).resolve().parents[1] / "admin" / "migrations"
"""The folder that holds them, one file a revision."""
