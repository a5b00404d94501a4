"""Replace all data by a backup from standard input; `invoke restore FILE` asks for confirmation first."""

import sys
from functools import partial

from service.schema import MIGRATIONS
from twelfth_redis.programs import restore

main = partial(restore, MIGRATIONS)

if __name__ == "__main__":
    sys.exit(main())
