"""Write a backup of all data to standard output; `invoke backup FILE` writes it to a file."""

import sys

from twelfth_redis.programs import backup as main

if __name__ == "__main__":
    sys.exit(main())
