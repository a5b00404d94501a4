"""Migrations: which there are, which were applied, how the others are."""
