"""The errors that a user can correct. Each text says what was found and what to do.

``RnvpError`` is the root of the whole distribution: the errors of training and exporting derive
from it too. One ``except RnvpError`` therefore catches every error that is not a defect.
"""

__all__ = [
    "BundleError",
    "EngineError",
    "InputError",
    "MissingExtraError",
    "OutputError",
    "RnvpError",
    "TableError",
]


class RnvpError(Exception):
    """An error that a user can correct. Its text is one line and needs no context."""


class BundleError(RnvpError):
    """A bundle is missing, incomplete, altered, or newer than this runtime."""


class EngineError(RnvpError):
    """An engine cannot be imported, or does not run on the execution provider asked for."""


class InputError(RnvpError, ValueError):
    """An argument, an array or a data frame does not fit the flow."""


class MissingExtraError(RnvpError, ImportError):
    """A package of one of the distribution's extras is not installed."""


class OutputError(RnvpError):
    """A file or folder cannot be written where it was asked for."""


class TableError(RnvpError, ValueError):
    """A table on disk cannot be read or written, or does not hold the columns asked for."""
