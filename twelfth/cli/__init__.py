"""The commands: what is typed, and what is shown."""
