"""What can go wrong before a bundle exists. All derive from ``rnvp_runtime.errors.RnvpError``."""

from rnvp_runtime.errors import RnvpError

__all__ = ["CheckpointError", "ConfigError", "ConversionError", "TrainingError"]


class ConfigError(RnvpError, ValueError):
    """A flow was described that cannot exist."""


class CheckpointError(RnvpError):
    """A file is not a checkpoint of rnvp-deploy, or not one that this version reads."""


class TrainingError(RnvpError):
    """The data, or the options, are such that nothing can be learnt."""


class ConversionError(RnvpError):
    """A model of another library holds something that our flow does not express."""
