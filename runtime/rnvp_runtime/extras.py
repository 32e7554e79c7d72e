"""Packages that only some users need, imported at the moment of use.

The plain install is numpy, onnxruntime and click. Everything else belongs to an extra of the
distribution, and its absence is told in one line that says what to install.
"""

import importlib
from types import ModuleType

from rnvp_runtime.errors import MissingExtraError

__all__ = ["EXTRAS", "need", "what_to_install"]

EXTRAS = {
    "pyarrow": "tables",
    "torch": "export",
    "onnx": "export",
    "onnxscript": "export",
    "matplotlib": "export",
    "openvino": "openvino",
    "ray": "ray",
    "pyspark": "spark",
    "dask": "dask",
}
"""Import name of a package -> the extra that brings it."""


def what_to_install(module: str) -> str | None:
    """The one line that a user without ``module`` needs; None if it belongs to no extra."""
    package = module.partition(".")[0]
    if package not in EXTRAS:
        return None
    return f'{package} is not installed: pip install "rnvp-deploy[{EXTRAS[package]}]"'


def need(module: str) -> ModuleType:
    """Import ``module``, a package of an extra or a submodule of one.

    Raises
    ------
    MissingExtraError
        It is not installed; the text is the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A broken install of the package (something *it* imports is missing) is not hidden.
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtraError(what_to_install(module) or str(error)) from None
