"""The keys that are the tools' own, in the database of the service."""

LOCK = "twelfth:lock"
"""Who may change the data in bulk; it expires."""
FENCE = "twelfth:fence"
"""Who held LOCK last: it changes hands with it, and does not expire."""
MARK = "twelfth:aside"
"""In a staging database: which restore it belongs to."""
MOMENTARY = frozenset(key.encode() for key in (LOCK, FENCE, MARK))
"""Those that belong to the moment and not to the data: no backup holds them."""
HISTORY = "twelfth:migrations"
"""A hash of what was applied: revision -> its record as JSON. It is data: a backup holds it."""
UNFINISHED = "twelfth:migrating"
"""The record of a migration that was started and is not done; it is data, like HISTORY."""
