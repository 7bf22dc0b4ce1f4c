"""What may go wrong with requests over HTTP beside what the layers below know; each docstring is the message."""

from workers.errors import SluiceError, UserError


class NoToken(UserError):
    """{0}; `Authorization: Bearer TOKEN` is expected, and `sluice token create` makes one"""


class RoleTooLow(UserError):
    """the role {0!r} is not enough; a token with the role {1!r} is expected"""


class TooManyRequests(UserError):
    """more than {0:g} requests per second; wait {1} s"""


class AlienSite(UserError):
    """a page of another site sent this; without a token only requests to {0} itself are answered"""


class InvalidRequest(UserError):
    """{0}"""


class UnknownType(UserError):
    """Content-Type {0!r}: {1} are expected"""


class InvalidCursor(UserError):
    """cursor: {0}; the cursor that came with the page before, unchanged, is expected"""


class TooManyExports(UserError):
    """{0} exports are under way, and no more at a time; try again in {1} s"""


class Unreachable(SluiceError):
    """{0}: {1}; the address of `sluice serve` is expected"""


class Declined(SluiceError):
    """{0} {1}: {2}"""
