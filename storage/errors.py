"""The errors of the database layer."""

from workers.errors import SluiceError, UserError


class StorageError(SluiceError):
    """database: {0}"""


class AlienDatabase(UserError):
    """database {0}: {1}"""


class DatabaseUnavailable(UserError):
    """database {0}: {1}"""


class DatabaseFull(UserError):
    """database {0}: the disk is full; free some space and resume the campaign, nothing that was stored is lost"""


class NotFound(UserError):
    """{0} {1!r}: not found; {2}"""


class KeyTaken(UserError):
    """Idempotency-Key {0!r}: it made campaign {1} from another body; the same body, or a new key, is expected"""


class LostFence(StorageError):
    """chunk {0}: attempt {1} is not the one that runs, its results are not stored"""


class SetTaken(UserError):
    """references {0!r}: another process fills them; one at a time is expected"""


class DatabaseFlawed(StorageError):
    """database {0}: {1} flaws"""
