"""The project in memory, in which commands of pages are typed."""

from tests.cli.conftest import project

__all__ = ["project"]
