"""Errors before a bundle exists. All derive from ``rnvp_runtime.errors.RnvpError``."""

from rnvp_runtime.errors import RnvpError

__all__ = ["CheckpointError", "ConfigError", "ConversionError", "TrainingError"]


class ConfigError(RnvpError, ValueError):
    """The description of a flow is not valid."""


class CheckpointError(RnvpError):
    """A file is not a checkpoint of rnvp-deploy, or not one that this version reads."""


class TrainingError(RnvpError):
    """A flow cannot be trained on these data, or with these options."""


class ConversionError(RnvpError):
    """A model of another library has a part that an ``RNVP`` cannot express."""
