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


class AlreadyUp(UserError):
    """another process runs this host's machine for {0} already; its folder is {1}"""


class NoRay(UserError):
    """no Ray for {0}: SLUICE_RAY_ADDRESS=HOST:PORT, or `sluice up` on this host, is expected"""


class DiskFull(UserError):
    """{0}: less than {1} MiB are free; free some space and resume campaign {2}, nothing that was stored is lost"""


class OtherModels(UserError):
    """campaign {0} began with {1} {2:.12}, here is {3:.12}; the same weights, or a new campaign, are expected"""


class NoAnswer(SluiceError):
    """{0}: {1}"""


class CampaignStands(UserError):
    """campaign {0} is {1} and cannot become {2}"""


class CampaignFailed(SluiceError):
    """campaign {0} stopped: {1}; `sluice campaign resume {0}` goes on"""
