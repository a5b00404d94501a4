"""Bring the data to the revision that this release needs, or show its state."""

import sys
from functools import partial

from service.schema import MIGRATIONS
from twelfth_redis.programs import migrate

main = partial(migrate, MIGRATIONS)

if __name__ == "__main__":
    sys.exit(main())
