"""Write a backup of all data to standard output, as `invoke backup FILE` keeps it."""

import sys

from twelfth_redis.programs import backup as main

if __name__ == "__main__":
    sys.exit(main())
