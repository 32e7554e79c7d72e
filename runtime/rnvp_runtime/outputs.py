"""Where a command or a function may write, so that no file of the user is lost.

    check_output(Path("model.pt"), "checkpoint", inputs=[table], force=force)

The rule is the same for every command and for saving from Python:

1. An output that is also an input is refused, with or without ``force``.
2. A suffix that belongs to another kind of file is refused, with or without ``force``.
3. An existing output is refused without ``force``.
4. The folder must exist and be writable.
5. ``-``, which stands for standard output elsewhere, is refused: it would become a file's name.
"""

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rnvp_runtime.errors import OutputError

__all__ = ["FileKind", "check_output", "is_same_file"]

FileKind = Literal["checkpoint", "bundle", "table", "web page"]

_FOLDERS = ("bundle", "web page")

_SUFFIXES: dict[str, str] = {
    ".pt": "checkpoint",
    ".pth": "checkpoint",
    ".ckpt": "checkpoint",
    ".rnvp": "bundle",
    ".csv": "table",
    ".tsv": "table",
    ".parquet": "table",
    ".arrow": "table",
    ".feather": "table",
    ".ipc": "table",
    ".npy": "table",
    ".npz": "table",
    ".onnx": "ONNX graph",
    ".ts": "TorchScript program",
    ".pt2": "torch.export program",
    ".html": "HTML file",
    ".json": "JSON file",
    ".md": "text file",
    ".txt": "text file",
    ".py": "Python module",
    ".ipynb": "notebook",
}
"""The kind of file that each suffix belongs to."""

_COMPRESSION = (".gz", ".bz2", ".xz", ".zst", ".zip")

_EXAMPLES: dict[FileKind, str] = {
    "checkpoint": "model.pt",
    "bundle": "model.rnvp",
    "table": "samples.csv",
    "web page": "site",
}


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
        output: The file to write; the folder if ``kind`` is a bundle or a web page.
        kind: What is going to be written.
        inputs: Files, folders and patterns of files that are read.
        force: Whether an existing output may be replaced.
        how: What the caller must pass for that, for the message.

    Raises:
        OutputError: The output is refused.
    """
    path = Path(output)
    if str(path) == "-":
        raise OutputError(
            f"a {kind} cannot be written to standard output: name it like {_EXAMPLES[kind]}"
        )
    if path.is_dir() and kind not in _FOLDERS:
        raise OutputError(f"cannot write {path}: it is a folder")
    for source in (named for given in inputs for named in _named(given)):
        _refuse_overlap(path, source)
    belongs = _SUFFIXES.get(_suffix(path), kind)
    if belongs != kind:
        raise OutputError(
            f"{path} has the suffix of {_article(belongs)}, but a {kind} is written: name it like "
            f"{_EXAMPLES[kind]}"
        )
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {folder}")
    if path.exists() and not force:
        raise OutputError(f"{path} exists: pass {how} to replace it, or name another output")


def is_same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether both paths exist and name one file or folder, also through a link."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _suffix(path: Path) -> str:
    """The last suffix in lower case; the one before it for a compressed file."""
    compressed = path.suffix.lower() in _COMPRESSION
    return Path(path.stem if compressed else path.name).suffix.lower()


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "OH" else f"a {kind}"


def _named(given: str | os.PathLike[str]) -> list[Path]:
    """The paths that an input names. Standard input and a URI name none."""
    if os.path.exists(given):
        return [Path(given)]
    return [Path(found) for found in glob.glob(os.fspath(given), recursive=True)]


def _refuse_overlap(output: Path, source: Path) -> None:
    """Refuse an output that is an input, contains an input, or is inside an input."""
    a, b = output.resolve(), source.resolve()
    if is_same_file(output, source) or a in b.parents:
        raise OutputError(f"{output} is also an input: name another output")
    if source.is_dir() and b in a.parents:
        raise OutputError(f"{output} lies in {source}, which is an input: name another output")
