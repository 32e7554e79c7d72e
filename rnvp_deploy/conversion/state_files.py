"""A file of weights, read without running code from it, and the state dicts that it holds."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnvp_deploy.checkpoint_archive import copy_archive
from rnvp_deploy.conversion.refusal import describe_error
from rnvp_deploy.errors import ConversionError

__all__ = ["StateDict", "describe_entries", "read_weights_file", "state_dicts"]

_DEPTH = 3  # of dicts within dicts, in which state dicts are looked for


@dataclass(frozen=True)
class StateDict:
    """A state dict in a file.

    entry:    its key in the file, "a.b" for a nested one; empty if it is the whole file.
    tensors:  its tensors by key. Arrays of numpy are tensors here.
    ignored:  the keys of everything else.
    """

    entry: str
    tensors: dict[str, Tensor]
    ignored: tuple[str, ...]


def read_weights_file(path: Path) -> Any:
    """The content that ``torch.save`` wrote to ``path``. Numbers and arrays of numpy are read too.

    Raises:
        ConversionError: the file is missing, was not written by torch.save, or holds Python
            objects, which could run code when opened.
    """
    if not path.is_file():
        missing = f"{path} is a folder" if path.is_dir() else f"there are no weights at {path}"
        raise ConversionError(f"{missing}; expected a file that torch.save wrote")
    if path.suffix == ".safetensors":
        raise ConversionError(
            f"{path} is a safetensors file; let the factory load it: "
            "flow.load_state_dict(safetensors.torch.load_file(path))"
        )
    try:
        # Older versions of torch.save wrote no archive.
        archive = copy_archive(path.read_bytes())[0] if zipfile.is_zipfile(path) else path
    except ValueError as error:
        raise ConversionError(
            f"{path} is damaged or was not saved by torch.save: {error}"
        ) from None
    try:
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_NUMPY):
            return torch.load(archive, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        holds = f"holds a {found[1]}" if found else "holds Python objects or is damaged"
        raise ConversionError(
            f"{path} {holds}, which could run code when opened, so it was not opened; save the "
            "weights alone: torch.save(flow.state_dict(), path)"
        ) from None
    except Exception as error:  # torch.load raises errors of many types for other files
        reason = f": {describe_error(error)}" if isinstance(error, RuntimeError) else ""
        raise ConversionError(f"{path} was not saved by torch.save{reason}") from None


def state_dicts(content: Any, entry: str = "") -> Iterator[StateDict]:
    """The state dicts in what a file holds."""
    if not isinstance(content, Mapping):
        return
    tensors = {str(key): value for key, value in content.items() if _is_weight(value)}
    has_tensors = any(isinstance(value, Tensor) for value in content.values())
    if has_tensors or (tensors and len(tensors) == len(content)):
        weights = {
            key: torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
            for key, value in tensors.items()
        }
        yield StateDict(entry, weights, tuple(str(k) for k in content if str(k) not in weights))
    if entry.count(".") < _DEPTH - 1:
        for key, value in content.items():
            yield from state_dicts(value, f"{entry}.{key}" if entry else str(key))


def _is_weight(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
    )


def describe_entries(content: Any) -> str:
    """The content of a file, as part of a sentence."""
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    entries = [f"{key} ({_describe(value)})" for key, value in list(content.items())[:8]]
    more = f" and {len(content) - 8} more" if len(content) > 8 else ""
    return f"the entries {', '.join(entries)}{more}" if entries else "an empty dict"


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        tensors = sum(isinstance(part, Tensor) for part in value.values())
        return f"{tensors} tensors" if tensors else "a dict without tensors"
    return type(value).__name__


def _numpy_types() -> list[Any]:
    """What a pickled number or array of numpy refers to, by the names of numpy 1 and 2.

    Object arrays stay refused: their dtype is not listed.
    """
    kinds = [
        kind
        for kind in vars(np.dtypes).values()
        if isinstance(kind, type) and issubclass(kind, np.dtype)
    ]
    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    functions = [
        (getattr(multiarray, name), f"{module}.multiarray.{name}")
        for name in ("scalar", "_reconstruct")
        for module in ("numpy.core", "numpy._core")
    ]
    return [*functions, np.dtype, np.ndarray, *(k for k in kinds if k is not np.dtypes.ObjectDType)]


_NUMPY = _numpy_types()
