"""The keys that are twelfth's own, in the database of the service; `twelfth_redis.schema.revisions.HISTORY` is another.

LOCK, FENCE and MARK belong to the moment and not to the data: no backup holds them.
"""

LOCK = "twelfth:lock"
"""Who may change the data in bulk; it expires."""
FENCE = "twelfth:fence"
"""Who held LOCK last: it changes hands with it, and does not expire."""
MARK = "twelfth:aside"
"""In a database aside: of which restore it is."""
UNFINISHED = "twelfth:migrating"
"""The record of a migration that was begun and is not done; it is data, like HISTORY."""
