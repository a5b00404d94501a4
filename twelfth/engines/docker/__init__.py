"""The docker engine: a stack as containers of a Docker Engine."""
