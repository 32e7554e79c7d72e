"""Errors of the export from a checkpoint to a bundle."""

from rnvp_runtime.errors import RnvpError

__all__ = ["ExportError", "ParityError", "PrecisionError"]


class ExportError(RnvpError):
    """A bundle cannot be written as asked."""


class ParityError(ExportError):
    """An exported graph is not the same function as the eager flow; nothing was published."""


class PrecisionError(ExportError):
    """The flow is not usable in the bundle's dtype, or overflows; nothing was published."""
