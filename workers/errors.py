"""The errors of the science layer."""


class SluiceError(Exception):
    """Sluice could not go on: {0}"""

    def __str__(self) -> str:
        """The class docstring, filled with what the error was raised with."""
        return (type(self).__doc__ or "{0}").format(*self.args)


class UserError(SluiceError):
    """{0}"""


class InvalidFormula(UserError):
    """formula {0!r}: {1}"""


class InvalidFilter(UserError):
    """filter {0!r}: {1}"""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(_shortened(text, 200), _shortened(why, 2_000))


class UnansweredFilter(InvalidFilter):
    """filter {0!r}: {1}"""


class InvalidScore(UserError):
    """score {0!r}: {1}"""


class InvalidFile(UserError):
    """{0}: {1}"""


class InvalidSubstitution(UserError):
    """replace: {0}"""


class InvalidEnumeration(UserError):
    """source: {0}"""


class CrystalError(SluiceError):
    """crystal {0}: {1}"""


class CheckpointError(SluiceError):
    """checkpoint {0}: {1}"""


class InvalidCondition(UserError):
    """condition {0}: {1}"""


class InvalidQuestion(UserError):
    """explanation: {0}"""


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
