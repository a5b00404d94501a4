"""The names of a project's Compose files."""

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""The files that Compose looks for if none is named; it reads the first that exists."""

OVERRIDES = tuple(name.replace(".y", ".override.y") for name in ("compose.yml", "compose.yaml", *NAMES[2:]))
"""Override files; Compose also reads the first that exists."""
