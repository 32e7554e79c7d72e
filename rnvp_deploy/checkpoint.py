"""``model.pt``: a trained flow as plain containers and tensors.

    {"format": "rnvp-deploy", "version": 1, "config": …, "state_dict": …, "columns": …,
     "context_columns": …, "training": …}

It is read with ``weights_only=True``, so that opening one runs no code, and it needs no code of
the user's. Anything else is refused with a sentence that says what to do.
"""

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from rnvp_deploy.config import RNVPConfig
from rnvp_deploy.errors import CheckpointError, ConfigError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.outputs import check_output
from rnvp_deploy.plain import from_plain, to_plain
from rnvp_runtime.atomic import replacing

__all__ = ["load", "read_training", "save"]

FORMAT, VERSION = "rnvp-deploy", 1

_PARTS = {
    "config": dict,
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
    """Write ``flow`` to ``path``, whole or not at all.

    ``training`` is a record of plain values (losses, options, an optimizer's state) kept beside
    the weights; ``read_training`` gives it back.

    Raises:
        OutputError: ``path`` exists and ``force`` is False, or it has the suffix of another kind
            of file, or its folder cannot be written.
    """
    check_output(path, "checkpoint", force=force, how="force=True")
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": to_plain(flow.config),
        "state_dict": dict(flow.state_dict()),
        "columns": list(flow.columns),
        "context_columns": list(flow.context_columns),
        "training": training or {},
    }
    # Into a stream of ours: given a path, torch writes the file's own name into the archive, and
    # two equal checkpoints would differ by theirs.
    with replacing(path) as stream:
        torch.save(content, stream)


def load(path: str | os.PathLike[str]) -> RNVP:
    """The flow in the checkpoint at ``path``, in eval mode and in the dtype it was saved in.

    Raises:
        CheckpointError: the file is missing, is not a checkpoint of ours, would run code, or
            was written by a newer version.
    """
    content = _read(Path(path))
    try:
        config = from_plain(content["config"])
        if not isinstance(config, RNVPConfig):
            raise CheckpointError(f"{path} holds no flow's configuration; it is damaged")
        flow = RNVP(config, tuple(content["columns"]), tuple(content["context_columns"]))
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
    except Exception as error:  # torch.load's errors for a file that is no checkpoint are many
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a PyTorch checkpoint: {reason}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not an rnvp-deploy checkpoint. Write one with rnvp_deploy.save(flow, "
            "path), with rnvp-train, or from another library's weights with rnvp-import"
        )
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} is a checkpoint of version {content.get('version')}; this rnvp-deploy reads "
            f"version {VERSION}. Install the version that wrote it, or a newer one"
        )
    if missing := _PARTS.keys() - content.keys():
        raise CheckpointError(f"{path} is damaged: it lacks {', '.join(sorted(missing))}")
    for name, kind in _PARTS.items():
        if not isinstance(content[name], kind):
            raise CheckpointError(f"{path} is damaged: its {name} is no {kind.__name__}")
    return content
