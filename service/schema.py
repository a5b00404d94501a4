"""The migrations of this release: the service requires them, and `admin.migrate` applies them."""

from pathlib import Path

MIGRATIONS = Path(__file__).resolve().parents[1] / "admin" / "migrations"  # one file per revision
