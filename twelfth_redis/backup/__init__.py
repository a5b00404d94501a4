"""Backup and restore of one database, in the protocol of Redis itself."""
