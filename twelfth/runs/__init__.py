"""Runs: what one is made from, its start, its streams, its record."""
