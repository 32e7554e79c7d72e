"""One graph of a bundle, opened in onnxruntime."""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rnvp_runtime.errors import BundleError
from rnvp_runtime.manifest import Manifest
from rnvp_runtime.pruning import pruned

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["Run", "check_onnxruntime", "open_graph", "open_onnx"]

Run: TypeAlias = Callable[[dict[str, Any]], list[Any]]
"""From inputs by name to outputs in their order, as arrays."""


def open_graph(
    folder: Path, manifest: Manifest, graph: str, outputs: Sequence[str], *, few_rows: bool = False
) -> Run:
    """``outputs`` of ``graph``, and what they need of it, from the very bytes that were hashed.

    For ``few_rows`` no two tensors share memory. Measured, that takes 9-18 % off a one-row call
    and 5 % off 16 rows; for many rows it would only cost memory.

    Raises
    ------
    BundleError
        The file is missing, altered or no graph, or this onnxruntime is too old for it.
    """
    check_onnxruntime(manifest.min_onnxruntime)
    file = manifest.graphs[graph].files["onnx"]
    try:
        content = (folder / file).read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{folder} has no {file}: copy the whole folder again") from None
    except OSError as error:
        raise BundleError(f"{folder / file} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != manifest.files[file].sha256:
        raise BundleError(
            f"{folder / file} is not the file that was exported (its sha256 differs): "
            "copy the whole folder again"
        )
    try:
        needed = pruned(content, outputs)
    except ValueError as error:
        raise BundleError(f"{folder / file} is no ONNX model: {error}") from None
    session = open_onnx(needed, str(folder / file), reuse=not few_rows)
    import onnxruntime

    # Left out, each call would make options of its own: 2 % of one row.
    return partial(session.run, list(outputs), run_options=onnxruntime.RunOptions())


def open_onnx(content: bytes, name: str, *, reuse: bool = True) -> "InferenceSession":
    """A single-threaded CPU session that never spins; ``name`` is for errors.

    Threads are ours: `tiles.over_tiles` runs calls to one session side by side. Without ``reuse``
    each tensor of a run has memory of its own.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_reuse = reuse
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors are raised; warnings are not the caller's to mend
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        reason = " ".join(str(error).split())
        raise BundleError(f"onnxruntime cannot open {name}: {reason}") from None


def check_onnxruntime(least: str) -> None:
    """Refuse an onnxruntime older than ``least``.

    Raises
    ------
    BundleError
        Says which was found and which is needed.
    """
    import onnxruntime

    found = onnxruntime.__version__
    if _numbers(found) < _numbers(least):
        raise BundleError(
            f"onnxruntime {found} is too old, this bundle needs {least}: "
            f'pip install --upgrade "onnxruntime>={least}"'
        )


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, leading.group().split("."))) if leading else ()
