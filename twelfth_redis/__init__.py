"""What the admin processes share: how they reach Redis, hold its lock, keep records in it; no command is in here."""
