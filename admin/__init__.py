"""The one-off processes; each module here is one command, `python -m admin.NAME`."""
