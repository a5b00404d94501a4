"""Check a whole backup, and show its description; this needs no Redis."""

import sys

from twelfth_redis.programs import verify as main

if __name__ == "__main__":
    sys.exit(main())
