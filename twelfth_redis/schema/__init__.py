"""Migrations: read them, compare them with what was applied, and apply or revert them."""
