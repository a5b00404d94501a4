"""What the real Compose makes of a project's files, and the stack that this is."""
