"""The admin processes of this service; each module is one command, `python -m admin.NAME`."""
