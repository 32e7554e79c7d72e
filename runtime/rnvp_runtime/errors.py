"""What can go wrong, each with a sentence that says what was found and what to do.

``RnvpError`` is the root of the whole distribution: training and exporting derive theirs from
it too, so that one ``except`` (and one line in each command) catches every mistake that is the
user's to mend.
"""

__all__ = ["BundleError", "InputError", "MissingExtraError", "RnvpError", "TableError"]


class RnvpError(Exception):
    """A mistake that a person can mend; its text is one line, fit to be printed alone."""


class BundleError(RnvpError):
    """A bundle is missing, incomplete, altered, or newer than this runtime."""


class InputError(RnvpError, ValueError):
    """An array or a data frame does not fit the flow."""


class TableError(RnvpError, ValueError):
    """A table on disk cannot be read, or does not hold what was asked for."""


class MissingExtraError(RnvpError, ImportError):
    """A package of one of the distribution's extras is not installed."""
