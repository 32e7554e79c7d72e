"""``model.pt``: a trained flow as plain containers and tensors.

    {"format": "rnvp-deploy", "version": 2, "flow": …, "state_dict": …, "columns": …,
     "context_columns": …, "training": …}

It is read once, its archive is checked (``checkpoint_archive``), and PyTorch opens it with
``weights_only=True``: opening a checkpoint runs no code, and needs no code of the user. Its
description is compared with its weights before a flow is built (``checkpoint_limits``). Any other
file is refused with a message that says what to do.
"""

import hashlib
import io
import os
import pickle
import shlex
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from rnvp_deploy.changes import find_change, same_outputs, unwrapped
from rnvp_deploy.checkpoint_archive import copy_archive
from rnvp_deploy.checkpoint_limits import (
    check_plain,
    check_recipe,
    check_weights,
    count_weights,
)
from rnvp_deploy.checkpoint_versions import VERSION, upgrade
from rnvp_deploy.errors import CheckpointError, ConfigError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.plain import find_unknown, from_plain, to_plain
from rnvp_deploy.plain_values import NotPlain, plain_record
from rnvp_deploy.spec import FlowSpec
from rnvp_runtime.outputs import check_output
from rnvp_runtime.publishing import publish_file

__all__ = ["Checkpoint", "load", "read", "read_training", "save"]

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
    """Write ``flow`` to ``path``, atomically, after it was opened again in memory.

    A flow of ``torch.compile`` or ``DataParallel`` is unwrapped.

    ``training`` is a record of plain values (losses, options, an optimizer's state) that is kept
    beside the weights; ``read_training`` returns it. Numbers of numpy become Python's own.

    Raises:
        CheckpointError: ``load`` would refuse the checkpoint, or give another flow, because
            ``flow`` is not what its ``spec`` builds or ``training`` is not plain. Nothing is
            written.
        OutputError: ``path`` exists and ``force`` is False, or it has the suffix of another kind
            of file, or its folder cannot be written.
    """
    check_output(path, "checkpoint", force=force, how="force=True")
    try:
        stored = _stored(unwrapped(flow), training or {})
    except RecursionError:
        raise CheckpointError(
            "this flow cannot be saved: its training record holds itself, or is nested too deep"
        ) from None
    except (CheckpointError, NotPlain) as error:
        raise CheckpointError(f"this flow cannot be saved: {_reason(error)}") from None
    with publish_file(path, error=CheckpointError) as stream:
        stream.write(stored)


def _stored(flow: RNVP, training: dict[str, Any]) -> bytes:
    """The bytes of a checkpoint, from which ``load`` gives ``flow``.

    Raises:
        CheckpointError: There is no such checkpoint.
        NotPlain: ``training`` is not a record of plain values.
    """
    if (change := find_change(flow)) is not None:
        raise CheckpointError(change)
    if (kind := find_unknown(flow.spec)) is not None:
        raise CheckpointError(
            f"its spec has a {kind.__name__} of {kind.__module__}, and a checkpoint holds only the "
            "classes of rnvp_deploy: CONTRIBUTING.md says how to add one"
        )
    content = {
        "format": FORMAT,
        "version": VERSION,
        "flow": to_plain(flow.spec),
        # Copies, since a weight that two layers share has less memory than load expects.
        "state_dict": {name: value.clone() for name, value in flow.state_dict().items()},
        "columns": list(map(str, flow.columns)),
        "context_columns": list(map(str, flow.context_columns)),
        "training": plain_record(training, "training"),
    }
    # Into an open file: given a path, torch writes the file's name into the archive, and two equal
    # checkpoints with different names would differ.
    stream = io.BytesIO()
    torch.save(content, stream)
    stored, name = stream.getvalue(), Path("the checkpoint")
    with torch.random.fork_rng(devices=[]):  # the initial weights of the second flow
        opened = _flow(name, _content(name, *_archive(name, stored)))
    if opened.spec != flow.spec:
        raise CheckpointError("its spec holds values that do not equal themselves, such as NaN")
    if not same_outputs(flow, opened):
        raise CheckpointError(
            "the checkpoint gives other densities than the flow: its modules do not compute what "
            "its spec says; copy its weights to an RNVP(flow.spec)"
        )
    return stored


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint, from one reading of its file.

    flow:      in eval mode, and in the dtype it was saved in.
    training:  the record that ``save`` was given.
    sha256:    of the file, in hexadecimal digits.
    """

    flow: RNVP
    training: dict[str, Any]
    sha256: str


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint at ``path``.

    Raises:
        CheckpointError: the file is missing, is not an rnvp-deploy checkpoint, is damaged, would
            run code, describes a flow of more weights than it has, or was written by a newer
            version.
    """
    file = Path(path)
    content, sha256 = _read(file)
    return Checkpoint(_flow(file, content), dict(content["training"]), sha256)


def load(path: str | os.PathLike[str]) -> RNVP:
    """The flow in the checkpoint at ``path``, in eval mode and in the dtype it was saved in.

    Raises:
        CheckpointError: as ``read``.
    """
    file = Path(path)
    return _flow(file, _read(file)[0])


def read_training(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record that ``save`` was given as ``training``.

    Raises:
        CheckpointError: as ``read``.
    """
    return dict(_read(Path(path))[0]["training"])


def _flow(path: Path, content: dict[str, Any]) -> RNVP:
    state = content["state_dict"]
    try:
        spec = from_plain(content["flow"])
        if not isinstance(spec, FlowSpec):
            raise CheckpointError(f"{path} is damaged: its flow is a {type(spec).__name__}")
        has, needs = check_weights(state), count_weights(spec)
        if needs > has:
            raise ConfigError(f"it has {has:,} numbers, and its flow needs {needs:,}")
        flow = RNVP(spec, tuple(content["columns"]), tuple(content["context_columns"]))
        flow.to(next(tensor.dtype for tensor in state.values() if tensor.is_floating_point()))
        flow.load_state_dict(state)
    except (
        RuntimeError, AttributeError, TypeError, ValueError, OverflowError, StopIteration
    ) as error:  # fmt: skip
        raise CheckpointError(
            f"{path}: its weights do not fit its own flow: {_reason(error)}"
        ) from None
    return flow.eval()


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """The content of the checkpoint at ``path``, and the sha256 of the file."""
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}")
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    sha256 = hashlib.sha256(stored).hexdigest()
    archive, pickle_size = _archive(path, stored)
    del stored  # only the copy takes memory while PyTorch reads it
    return _content(path, archive, pickle_size), sha256


def _archive(path: Path, stored: bytes) -> tuple[BinaryIO, int]:
    """The archive in these bytes as ``copy_archive`` gives it."""
    if stored[:1] == b"\x80":
        raise _holds_objects(path)
    try:
        return copy_archive(stored)
    except ValueError as error:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint: {_reason(error)}") from None


def _content(path: Path, archive: BinaryIO, pickle_size: int) -> dict[str, Any]:
    """The content of a checkpoint, as one of the present version."""
    try:
        with warnings.catch_warnings(action="ignore"):  # the errors below say the same
            content = torch.load(archive, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise _holds_objects(path) from None
    except Exception as error:  # torch.load raises many kinds of errors for other files
        raise CheckpointError(f"{path} is not a PyTorch checkpoint: {_reason(error)}") from None
    _check_kind(path, content)
    content = _upgraded(path, content, pickle_size)
    if missing := _PARTS.keys() - content.keys():
        raise CheckpointError(f"{path} is damaged: it lacks {', '.join(sorted(missing))}")
    for name, kind in _PARTS.items():
        if not isinstance(content[name], kind):
            raise CheckpointError(f"{path} is damaged: its {name} is not a {kind.__name__}")
    return content


def _check_kind(path: Path, content: Any) -> None:
    """Refuse anything that is not a checkpoint of a known version."""
    is_ours = isinstance(content, dict) and _is_text(content.get("format"), FORMAT)
    if isinstance(content, dict) and not is_ours and _is_state_dict(content):
        raise CheckpointError(
            f"{path} is a state dict: it holds weights and not the flow they belong to; convert it "
            f"first, rnvp-import mymodule.py:make_flow --weights {shlex.quote(str(path))} -o "
            "model.pt"
        )
    if not is_ours:
        raise CheckpointError(
            f"{path} is not an rnvp-deploy checkpoint. Write one with rnvp_deploy.save(flow, "
            "path), with rnvp-train, or from another library's weights with rnvp-import"
        )
    version = content.get("version")
    if type(version) is not int or version not in range(1, VERSION + 1):
        raise CheckpointError(
            f"{path} is a checkpoint of version {version!a:.40}; this rnvp-deploy reads "
            f"versions 1 to {VERSION}. Install the version that wrote it, or a newer one"
        )


def _upgraded(path: Path, content: dict[str, Any], pickle_size: int) -> dict[str, Any]:
    """``content`` as one of the present version, after its description was found to be plain."""
    described = [content.get(name) for name in ("flow", "config", "columns", "context_columns")]
    try:
        check_plain(described, pickle_size)
        if isinstance(recipe := content.get("config"), dict):
            check_recipe(recipe, check_weights(content.get("state_dict")))
        return upgrade(content)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path} is damaged: {_reason(error)}") from None


def _holds_objects(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} holds Python objects, which could run code when opened, so it was not opened. A "
        "whole pickled model must be converted by the code that made it: see rnvp-import --help"
    )


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _is_text(value: Any, expected: str) -> bool:
    return isinstance(value, str) and value == expected


def _is_state_dict(content: dict[str, Any]) -> bool:
    """Whether it, or a part of it, holds tensors by name, as in ``module.state_dict()``."""
    parts = [content, *(part for part in content.values() if isinstance(part, dict))]
    return any(
        part and all(isinstance(value, torch.Tensor) for value in part.values()) for part in parts
    )
