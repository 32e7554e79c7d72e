"""``model.pt``: a trained flow as plain containers and tensors.

    {"format": "rnvp-deploy", "version": 2, "flow": …, "state_dict": …, "columns": …,
     "context_columns": …, "training": …}

It is read with ``weights_only=True``: opening a checkpoint runs no code, and needs none of the
user's. Any other file is refused with a message that says what to do.
"""

import os
import pickle
import shlex
import warnings
from pathlib import Path
from typing import Any

import torch

from rnvp_deploy.checkpoint_versions import VERSION, upgrade
from rnvp_deploy.errors import CheckpointError, ConfigError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.plain import from_plain, to_plain
from rnvp_deploy.spec import FlowSpec
from rnvp_runtime.outputs import check_output
from rnvp_runtime.publishing import publish_file

__all__ = ["load", "read_training", "save"]

FORMAT = "rnvp-deploy"

_PARTS = {
    "flow": dict,
    "state_dict": dict,
    "columns": list,
    "context_columns": list,
    "training": dict,
}


def save(
    flow: RNVP,
    path: str | os.PathLike[str],
    *,
    training: dict[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Write ``flow`` to ``path``, atomically.

    ``training`` is a record of plain values (losses, options, an optimizer's state) that is kept
    beside the weights; ``read_training`` returns it.

    Raises:
        OutputError: ``path`` exists and ``force`` is False, or it has the suffix of another kind
            of file, or its folder cannot be written.
    """
    check_output(path, "checkpoint", force=force, how="force=True")
    content = {
        "format": FORMAT,
        "version": VERSION,
        "flow": to_plain(flow.spec),
        "state_dict": dict(flow.state_dict()),
        "columns": list(flow.columns),
        "context_columns": list(flow.context_columns),
        "training": training or {},
    }
    # Into an open file: given a path, torch writes the file's name into the archive, and two equal
    # checkpoints with different names would differ.
    with publish_file(path, error=CheckpointError) as stream:
        torch.save(content, stream)


def load(path: str | os.PathLike[str]) -> RNVP:
    """The flow in the checkpoint at ``path``, in eval mode and in the dtype it was saved in.

    Raises:
        CheckpointError: the file is missing, is not an rnvp-deploy checkpoint, would run code, or
            was written by a newer version.
    """
    content = _read(Path(path))
    try:
        spec = from_plain(content["flow"])
        if not isinstance(spec, FlowSpec):
            raise CheckpointError(f"{path} is damaged: its flow is a {type(spec).__name__}")
        flow = RNVP(spec, tuple(content["columns"]), tuple(content["context_columns"]))
        state = content["state_dict"]
        flow.to(next(tensor.dtype for tensor in state.values() if tensor.is_floating_point()))
        flow.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError, StopIteration, ConfigError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: its weights do not fit its own flow: {reason}") from None
    return flow.eval()


def read_training(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record that ``save`` was given as ``training``."""
    return dict(_read(Path(path))["training"])


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}")
    try:
        with warnings.catch_warnings(action="ignore"):  # the errors below say what torch's do
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds Python objects, which could run code when opened, so it was not "
            "opened. A whole pickled model must be converted by the code that made it: see "
            "rnvp-import --help"
        ) from None
    except Exception as error:  # torch.load raises many kinds of errors for other files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a PyTorch checkpoint: {reason}") from None
    if isinstance(content, dict) and content.get("format") != FORMAT and _is_state_dict(content):
        raise CheckpointError(
            f"{path} is a state dict: it holds weights and not the flow they belong to; convert it "
            f"first, rnvp-import mymodule.py:make_flow --weights {shlex.quote(str(path))} -o "
            "model.pt"
        )
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not an rnvp-deploy checkpoint. Write one with rnvp_deploy.save(flow, "
            "path), with rnvp-train, or from another library's weights with rnvp-import"
        )
    if content.get("version") not in range(1, VERSION + 1):
        raise CheckpointError(
            f"{path} is a checkpoint of version {content.get('version')}; this rnvp-deploy reads "
            f"versions 1 to {VERSION}. Install the version that wrote it, or a newer one"
        )
    try:
        content = upgrade(content)
    except (KeyError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"{path} is damaged: its version 1 flow: {error}") from None
    if missing := _PARTS.keys() - content.keys():
        raise CheckpointError(f"{path} is damaged: it lacks {', '.join(sorted(missing))}")
    for name, kind in _PARTS.items():
        if not isinstance(content[name], kind):
            raise CheckpointError(f"{path} is damaged: its {name} is not a {kind.__name__}")
    return content


def _is_state_dict(content: dict[str, Any]) -> bool:
    """Whether it holds tensors by name, as ``module.state_dict()`` gives them, or a part does."""
    parts = [content, *(part for part in content.values() if isinstance(part, dict))]
    return any(
        part and all(isinstance(value, torch.Tensor) for value in part.values()) for part in parts
    )
