"""The keys that twelfth_redis uses in the service's database."""

LOCK = "twelfth:lock"
"""The process that may change data in bulk; it expires."""
FENCE = "twelfth:fence"
"""The last holder of LOCK; it does not expire."""
MARK = "twelfth:aside"
"""In a staging database: the restore that it belongs to."""
MOMENTARY = frozenset(key.encode() for key in (LOCK, FENCE, MARK))
"""Keys that are not data: no backup contains them."""
HISTORY = "twelfth:migrations"
"""A hash of applied migrations: revision -> record as JSON. It is data: a backup contains it."""
UNFINISHED = "twelfth:migrating"
"""The record of an unfinished migration; it is data, like HISTORY."""
