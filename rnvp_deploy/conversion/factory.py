"""A model from the user's own code: ``mymodule.py:make_flow``, with weights from a file.

The factory takes no arguments and returns the model as it was trained, but with any weights.
Calling it runs the user's code; the weights are loaded without running any.
"""

import importlib
import importlib.util
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnvp_deploy.conversion.converting import convert
from rnvp_deploy.errors import ConversionError
from rnvp_deploy.flow import RNVP

__all__ = ["convert_factory"]

_NESTED = ("state_dict", "model_state_dict", "model")


def convert_factory(
    factory: str,
    weights: str | PathLike[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """Call ``factory`` ("file.py:function" or "package.module:function"), load, convert.

    ``weights`` is a state dict saved with torch.save, alone or as one of the entries
    ``state_dict``, ``model_state_dict`` or ``model``. The model is put into eval mode.

    Raises:
        ConversionError: in one line, what could not be found, called, loaded or converted.
    """
    model = _call(_find(factory), factory)
    if weights is not None:
        _load(model, Path(weights))
    target = model.model if type(model).__name__ == "FlowModel" else model
    if hasattr(target, "eval"):
        target.eval()
    return convert(model, columns=columns, context_columns=context_columns)


def _find(factory: str) -> Callable[[], Any]:
    where, _, name = factory.rpartition(":")
    if not where or not name:
        raise ConversionError(f"{factory!r} is no factory; write mymodule.py:make_flow")
    try:
        module = (
            _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        )
    except Exception as error:  # whatever the user's module raises when it is run
        raise ConversionError(f"{where} could not be imported: {_said(error)}") from None
    function = getattr(module, name, None)
    if not callable(function):
        raise ConversionError(f"{where} has no function {name!r}")
    return function  # type: ignore[no-any-return]


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))  # for the modules beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _call(function: Callable[[], Any], factory: str) -> Any:
    try:
        return function()
    except Exception as error:
        raise ConversionError(f"{factory} failed: {_said(error)}") from None


def _load(model: Any, path: Path) -> None:
    if not path.is_file():
        raise ConversionError(f"there are no weights at {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ConversionError(
            f"{path} is nothing that can be opened without running code from it, so it was not "
            "opened; save the weights alone: torch.save(flow.state_dict(), path)"
        ) from None
    except Exception as error:  # torch.load's errors for a file that is none of its own are many
        raise ConversionError(f"{path} was not saved by torch.save: {_said(error)}") from None
    state = next((state[key] for key in _NESTED if _is_state(state, key)), state)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConversionError(
            f"{path} holds no state dict, nor one as its entry {', '.join(_NESTED)}"
        )
    try:
        model.load_state_dict(state)
    except (AttributeError, RuntimeError) as error:
        raise ConversionError(
            f"the weights in {path} do not fit the model: {' '.join(str(error).split())[:400]}"
        ) from None


def _is_state(state: object, key: str) -> bool:
    return isinstance(state, dict) and isinstance(state.get(key), dict)


def _said(error: Exception) -> str:
    """The error, and the line of the user's code that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}, line {last.lineno})"
