"""Packages that only some users need, imported when they are first used.

The plain install is numpy, onnxruntime and click. Every other package belongs to an extra of the
distribution. If it is missing, the error is one line that says what to install.
"""

import importlib
from types import ModuleType

from rnvp_runtime.errors import MissingExtraError

__all__ = ["EXTRAS", "import_extra", "missing_extra_message", "optional"]

EXTRAS = {
    "pyarrow": "tables",
    "torch": "export",
    "onnx": "export",
    "onnxscript": "export",
    "openvino": "openvino",
    "model_signing": "sign",
    "cryptography": "sign",
    "sklearn": "sklearn",
    "dask": "dask",
    "distributed": "dask",
    "ray": "ray",
    "pyspark": "spark",
    "mlflow": "mlflow",
    "starlette": "serve",
    "uvicorn": "serve",
}
"""Import name of a package -> the extra that installs it."""


def missing_extra_message(module: str) -> str | None:
    """The error text for a user who lacks ``module``; None if no extra installs it."""
    package = module.partition(".")[0]
    if package not in EXTRAS:
        return None
    return f'{package} is not installed: pip install "rnvp-deploy[{EXTRAS[package]}]"'


def import_extra(module: str) -> ModuleType:
    """Import ``module``, a package of an extra or a submodule of one.

    Raises:
        MissingExtraError: it is not installed. The text is the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # If the package is installed but one of its own imports is missing, that error is shown.
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtraError(missing_extra_message(module) or str(error)) from None


def optional(module: str) -> ModuleType | None:
    """``module``, a package of an extra or a submodule of one; None if it is not installed."""
    try:
        return import_extra(module)
    except MissingExtraError:
        return None
