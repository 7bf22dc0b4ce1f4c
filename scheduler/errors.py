"""What may go wrong while campaigns run; each class's docstring is its message."""

from workers.errors import SluiceError, UserError


class InvalidSpec(UserError):
    """{0}"""


class InvalidSource(UserError):
    """{0}"""


class InvalidSetting(UserError):
    """{0}"""


class MachineFailed(SluiceError):
    """{0}"""


class LeadershipLost(SluiceError):
    """another dispatcher leads now (epoch {0} is over)"""


class CampaignStands(UserError):
    """campaign {0} is {1} and cannot become {2}"""


class CampaignFailed(SluiceError):
    """campaign {0} stopped: {1}; `sluice campaign resume {0}` goes on"""
