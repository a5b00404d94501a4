"""Redis data tools for any service: a lock, migrations, backup and restore; needs redis-py and nothing else."""
