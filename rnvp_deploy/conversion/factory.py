"""A model from the user's own code: ``mymodule.py:make_flow``, with weights from a file.

The factory takes no arguments and returns the model as it was trained, but with any weights.
Calling it runs the user's code. The weights are loaded without running any.
"""

import ast
import contextlib
import importlib
import importlib.util
import inspect
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from rnvp_deploy.conversion.converting import convert
from rnvp_deploy.conversion.finding import find_flow
from rnvp_deploy.conversion.refusal import describe_error
from rnvp_deploy.conversion.state_files import read_weights_file
from rnvp_deploy.conversion.weights import load_weights
from rnvp_deploy.errors import ConversionError
from rnvp_deploy.flow import RNVP

__all__ = ["convert_factory"]


def convert_factory(
    factory: str,
    weights: str | PathLike[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> RNVP:
    """Call the factory, load the weights, convert the model.

    Args:
        factory: ``file.py:function`` or ``package.module:function``.
        weights: a state dict saved with torch.save, alone or as an entry of a checkpoint.
        columns: names of the coordinates.
        context_columns: names of the conditions.
        tell: is called with each note: how the weights were found, what was left out.

    Returns:
        The flow. The model is put into eval mode before it is converted. What the user's code
        prints goes to stderr.

    Raises:
        ConversionError: in one line, what could not be found, called, loaded or converted.
    """
    with contextlib.redirect_stdout(sys.stderr):
        model = _call(_find(factory), factory)
        found = find_flow(model)
        models = [part for part in (model, found.flow) if isinstance(part, nn.Module)]
        if weights is not None:
            for note in load_weights(models, Path(weights)):
                tell(note)
        for part in models:
            part.eval()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            converted = convert(model, columns=columns, context_columns=context_columns)
    for warning in caught:
        tell(str(warning.message))
    return converted


def _find(factory: str) -> Any:
    where, _, name = factory.rpartition(":")
    if not where or not name or Path(factory).exists():
        raise ConversionError(_not_a_factory(factory))
    if Path(where).exists() and not where.endswith(".py"):
        raise ConversionError(_not_a_factory(where))
    try:
        module = (
            _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        )
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise ConversionError(f"{where} could not be imported: {_located(error)}") from None
    function = getattr(module, name, None)
    if function is None or not (callable(function) or isinstance(function, nn.Module)):
        functions = _functions(Path(where)) if where.endswith(".py") else []
        others = f"; its functions are {', '.join(functions)}" if functions else ""
        raise ConversionError(f"{where} has no function {name!r}{others}")
    return function


def _not_a_factory(text: str) -> str:
    """The error text: what ``text`` is instead of a factory, and the command that was meant."""
    path = Path(text)
    if (path / "manifest.json").is_file():
        return f"{text} is a bundle already; draw samples from it: rnvp-sample {text}"
    if path.suffix == ".py" and path.is_file():
        functions = _functions(path)
        example = functions[0] if functions else "make_flow"
        listed = f" (its functions are {', '.join(functions)})" if functions else ""
        return f"{text!r} names no function; write {text}:{example}{listed}"
    if path.suffix == ".ipynb":
        return f"{text} is a notebook; put its code into mymodule.py: mymodule.py:make_flow"
    if path.suffix == ".onnx":
        return f"{text} is an exported graph; import the model that it was made of"
    if path.suffix in (".pt", ".pth", ".ckpt", ".bin", ".safetensors") or path.is_file():
        return _not_a_factory_but_weights(path)
    return f"{text!r} is not a factory; write mymodule.py:make_flow"


def _not_a_factory_but_weights(path: Path) -> str:
    try:
        content = read_weights_file(path)
    except ConversionError:
        content = None
    if isinstance(content, dict) and content.get("format") == "rnvp-deploy":
        return f"{path} is a checkpoint of rnvp-deploy already; export it: rnvp-export {path}"
    return (
        f"{path} holds weights, not the code of a model; write a function that builds the "
        f"model, then rnvp-import mymodule.py:make_flow --weights {shlex.quote(str(path))} "
        "-o model.pt"
    )


def _functions(path: Path) -> list[str]:
    """The functions that a file defines, found without running it."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


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


def _call(function: Any, factory: str) -> Any:
    """The model: what the factory returns, or the factory itself if that is a model."""
    if isinstance(function, nn.Module):
        return function
    if needed := _needed_arguments(function):
        raise ConversionError(
            f"{factory} needs the arguments {', '.join(needed)}; write a function without "
            "arguments that calls it"
        )
    try:
        model = function()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise ConversionError(f"{factory} failed: {_located(error)}") from None
    if model is None:
        raise ConversionError(f"{factory} returned None; it must return the model")
    return model


def _needed_arguments(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some callables have no signature
        return []
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _located(error: BaseException) -> str:
    """The error, and the line of the user's code that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{describe_error(error)} ({Path(last.filename).name}, line {last.lineno})"
