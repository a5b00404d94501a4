"""Check a backup from the first byte to the last, and show what it says of itself; this needs no Redis."""

import sys

from twelfth_redis.programs import verify as main

if __name__ == "__main__":
    sys.exit(main())
