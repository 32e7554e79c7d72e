"""Where a command or a function may write, so that no file of the user's is lost.

    check_output(Path("model.pt"), "checkpoint", inputs=[table], force=force)

The rule is the same for every command and for saving from Python:

1. An output that is also an input is refused, with or without ``force``.
2. A suffix that belongs to another kind of file is refused, with or without ``force``.
3. An existing output is refused without ``force``.
4. The folder must exist and be writable.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rnvp_runtime.errors import RnvpError

__all__ = ["FileKind", "OutputError", "check_output"]

FileKind = Literal["checkpoint", "bundle", "table"]

_SUFFIXES: dict[str, str] = {
    ".pt": "checkpoint",
    ".pth": "checkpoint",
    ".ckpt": "checkpoint",
    ".rnvp": "bundle",
    ".csv": "table",
    ".tsv": "table",
    ".parquet": "table",
    ".npy": "table",
    ".npz": "table",
    ".onnx": "ONNX graph",
    ".ts": "TorchScript program",
    ".pt2": "torch.export program",
    ".html": "page",
    ".json": "JSON file",
    ".md": "text file",
    ".txt": "text file",
    ".py": "Python module",
    ".ipynb": "notebook",
}
"""The kind of file that each suffix belongs to."""

_EXAMPLES: dict[FileKind, str] = {
    "checkpoint": "model.pt",
    "bundle": "model.rnvp",
    "table": "samples.csv",
}


class OutputError(RnvpError):
    """An output cannot be written, or writing it would destroy something."""


def check_output(
    output: str | os.PathLike[str],
    kind: FileKind,
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    force: bool = False,
    how: str = "--force",
) -> None:
    """Refuse an output that would replace a file which the user may want to keep.

    Args:
        output: The file to write, or the folder if ``kind`` is a bundle.
        kind: What is going to be written.
        inputs: Files and folders that are read.
        force: Whether an existing output may be replaced.
        how: What the caller must pass for that, for the message.

    Raises:
        OutputError: The output is refused.
    """
    path = Path(output)
    if path.is_dir() and kind != "bundle":
        raise OutputError(f"cannot write {path}: it is a folder")
    for source in inputs:
        if _same_file(path, Path(source)):
            raise OutputError(f"{path} is also an input: name another output")
    belongs = _SUFFIXES.get(path.suffix.lower(), kind)
    if belongs != kind:
        raise OutputError(
            f"{path} has the suffix of a {belongs}, but a {kind} is written: name it like "
            f"{_EXAMPLES[kind]}"
        )
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {folder}")
    if path.exists() and not force:
        raise OutputError(f"{path} exists: pass {how} to replace it, or name another output")


def _same_file(output: Path, source: Path) -> bool:
    """Whether both are one file, or one of them is a folder that contains the other."""
    if not source.exists():
        return False
    if output.exists() and output.samefile(source):
        return True
    a, b = output.resolve(), source.resolve()
    return a in b.parents or (source.is_dir() and b in a.parents)
