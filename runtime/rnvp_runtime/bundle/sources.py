"""Where a bundle's files come from: a folder, a zip file, or the resources of a package.

    source = open_source("model.rnvp")           # or "model.rnvp.zip", or importlib's files(...)
    content = source.read("density.onnx", 12_345)

Each file is read once, in one piece, and never past the size that is expected. Nothing is
extracted from a zip file. In a folder only regular files are read. A link inside a bundle may
lead out of it, and reading a device or a FIFO may never end. A file may have several names (hard
links), as package managers make them: only the bytes that were read and checked are used.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, Union

from rnvp_runtime.errors import BundleError, InputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["BundlePath", "FileFault", "Source", "absolute_path", "open_source", "size_fault"]

BundlePath: TypeAlias = Union[str, os.PathLike[str], "Traversable"]
"""A folder, a zip file, or a folder of a package, as ``importlib.resources.files`` gives it."""


class FileFault(BundleError):
    """A file of a bundle that is missing, altered, or not a file.

    Attributes:
        fault: what is wrong, without the file's name, such as ``"is missing"``.
    """

    def __init__(self, where: str, file: str, fault: str) -> None:
        self.fault = fault
        text = f"{where} has no {file}" if fault == "is missing" else f"{where}/{file} {fault}"
        super().__init__(f"{text}: copy the whole bundle again")


class Source(Protocol):
    """The files of one bundle."""

    @property
    def name(self) -> str:
        """What errors call it."""

    def read(self, file: str, size: int | None, limit: int) -> bytes:
        """The content of ``file``.

        Args:
            file: its name, a relative POSIX path.
            size: its size in bytes; None if any size up to ``limit`` will do.
            limit: the most bytes that are read.

        Raises:
            FileFault: it is missing, is not a regular file, has another size, or cannot be read.
        """

    def files(self) -> Iterator[str]:
        """The names of all files that are there, also of those that are not regular files."""

    def bundles(self) -> list[str]:
        """The folders inside that look like bundles, for the error where this is none."""


def open_source(path: BundlePath) -> Source:
    """The bundle at ``path``. The files are looked for when they are read.

    Raises:
        BundleError: there is neither a folder nor a zip file.
        InputError: ``path`` is not a path.
    """
    if not isinstance(path, str | os.PathLike):
        if not hasattr(path, "joinpath"):
            raise InputError(f"path is {type(path).__name__}, expected text or a path")
        if path.is_dir():
            return _Resources(path, str(path))
        raise BundleError(f"{path} is not a folder; a bundle is a folder such as model.rnvp")
    place = absolute_path(path)
    try:
        found = place.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        raise BundleError(
            f"{path} does not exist; a bundle is a folder such as model.rnvp"
        ) from None
    if stat.S_ISDIR(found.st_mode):
        return _Folder(place, str(path))
    if stat.S_ISREG(found.st_mode):
        from rnvp_runtime.bundle.zip_source import ZipSource, is_zip

        if said := _other_kind(Path(path)):  # PyTorch's files and .npz are zip files too
            raise BundleError(said)
        if is_zip(place):
            return ZipSource(place, str(path))
    raise BundleError(
        f"{path} is a file and not a zip file; a bundle is a folder such as model.rnvp"
    )


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """``path`` seen from the root, as the current folder may change.

    Raises:
        BundleError: it is empty, or there is no current folder any more.
        InputError: it is not text.
    """
    text = os.fspath(path)
    if not isinstance(text, str):
        raise InputError(f"path is {type(text).__name__}, expected text or a path")
    if not text:
        raise BundleError("the path of the bundle is empty: give a folder such as model.rnvp")
    try:
        return Path(text).absolute()
    except OSError:
        raise BundleError(
            f"{text} cannot be found, since the current folder was removed: change to another one"
        ) from None


def _other_kind(file: Path) -> str | None:
    """What ``file`` is by its suffix, and what was meant; None if it may be a bundle."""
    suffix, name = file.suffix.lower(), shlex.quote(str(file))
    if suffix in (".pt", ".pth", ".ckpt"):
        return f"{file} is a checkpoint, not a bundle: export it first, rnvp-export {name}"
    if suffix in (".onnx", ".ts", ".pt2"):
        folder = file.parent
        whole = f": give {folder}" if (folder / "manifest.json").is_file() else ""
        return f"{file} is one graph; a bundle is the whole folder of graphs{whole}"
    if suffix in (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".npy", ".npz"):
        return f"{file} is a table; a bundle is a folder such as model.rnvp, and is given first"
    return None


_TRIES = 10  # to read a file that is replaced again and again


@dataclass(frozen=True)
class _Folder:
    path: Path  # absolute: the current folder may change before a graph is read
    name: str

    def read(self, file: str, size: int | None, limit: int) -> bytes:
        for _ in range(_TRIES):
            content = self._read(file, size, limit)
            if content is not None:
                return content
        raise FileFault(self.name, file, "was replaced while it was read")

    def _read(self, file: str, size: int | None, limit: int) -> bytes | None:
        """As `read`; None if the file was replaced by another one meanwhile."""
        path = self.path
        try:
            for part in file.split("/")[:-1]:
                path = path / part
                if path.is_symlink():
                    raise FileFault(self.name, file, f"is in {part}, which is a link")
            path = self.path / file
            found = os.lstat(path)
            if fault := _kind_fault(found) or size_fault(found.st_size, size, limit):
                raise FileFault(self.name, file, fault)
            with _open_regular(path) as stream:
                opened = os.fstat(stream.fileno())
                if not os.path.samestat(found, opened):
                    return None
                content = stream.read(opened.st_size + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise FileFault(self.name, file, "is missing") from None
        except OSError as error:
            raise FileFault(self.name, file, f"cannot be read: {error.strerror}") from None
        if fault := size_fault(len(content), opened.st_size if size is None else size, limit):
            raise FileFault(self.name, file, fault)
        return content

    def files(self) -> Iterator[str]:
        for path in self.path.rglob("*"):
            if path.is_symlink() or not path.is_dir():
                yield path.relative_to(self.path).as_posix()

    def bundles(self) -> list[str]:
        return sorted(path.parent.name for path in self.path.glob("*/manifest.json"))


def _open_regular(path: Path) -> IO[bytes]:
    """Open a file without following a link and without waiting for the other end of a FIFO."""
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
        flags |= getattr(os, name, 0)
    return os.fdopen(os.open(path, flags), "rb")


def _kind_fault(found: os.stat_result) -> str | None:
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link, expected a file (cp -RL copies what links point to)"
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    return None


def size_fault(found: int, size: int | None, limit: int) -> str | None:
    """What is wrong with a file of ``found`` bytes; see `Source.read`. None if nothing is."""
    if size is not None and found != size:
        return f"is altered: {found:,} bytes, exported with {size:,}"
    if found > limit:
        return f"is too large: {found:,} bytes, at most {limit:,} are read"
    return None


@dataclass(frozen=True)
class _Resources:
    """Resources that need not be files, as those of a package inside a zip file."""

    path: Any  # Traversable
    name: str

    def read(self, file: str, size: int | None, limit: int) -> bytes:
        try:
            with self.path.joinpath(*file.split("/")).open("rb") as stream:
                content: bytes = stream.read((limit if size is None else size) + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, KeyError):
            raise FileFault(self.name, file, "is missing") from None
        except OSError as error:
            raise FileFault(self.name, file, f"cannot be read: {error}") from None
        if fault := size_fault(len(content), size, limit):
            raise FileFault(self.name, file, fault)
        return content

    def files(self) -> Iterator[str]:
        yield from _below(self.path, "")

    def bundles(self) -> list[str]:
        return []


def _below(folder: Any, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name
