"""Commands of twelfth for the programs of twelfth-redis; only the operator's machine needs this package.

twelfth offers each of them if this package is installed and the project has a program of its name in `admin/`.
"""

from __future__ import annotations

from twelfth_redis.commands.backups import backup, verify
from twelfth_redis.commands.migrate import migrate
from twelfth_redis.commands.restore import restore

COMMANDS = (migrate, backup, verify, restore)
