"""A bundle in a zip file, such as ``model.rnvp.zip``. Nothing of it is extracted to the disk."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnvp_runtime.bundle.limits import MAX_FILES
from rnvp_runtime.bundle.sources import FileFault, size_fault

__all__ = ["ZipSource", "is_zip"]


def is_zip(path: Path) -> bool:
    """Whether the file at ``path`` is a zip file; its name does not matter."""
    return zipfile.is_zipfile(path)


@dataclass(frozen=True)
class ZipSource:
    """A zip file with the bundle's files at its top, or in one folder; see `Source`."""

    path: Path
    name: str

    def read(self, file: str, size: int | None, limit: int) -> bytes:
        """See `Source`."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                return self._read(archive, file, size, limit)
        except FileNotFoundError:
            raise FileFault(self.name, file, "is missing") from None
        except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as e:
            reason = " ".join(str(e).split())
            raise FileFault(
                self.name, file, f"cannot be read from the zip file: {reason}"
            ) from None

    def _read(self, archive: zipfile.ZipFile, file: str, size: int | None, limit: int) -> bytes:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) > MAX_FILES:
            raise FileFault(self.name, file, f"is one of {len(entries):,}: at most {MAX_FILES:,}")
        wanted = _prefix(entries) + file
        named = [entry for entry in entries if entry.filename == wanted]
        if not named:
            raise FileFault(self.name, file, "is missing")
        [entry, *others] = named
        fault = "stands twice in the zip file" if others else None
        if stat.S_ISLNK(entry.external_attr >> 16):
            fault = "is a symbolic link, expected a file"
        if entry.flag_bits & 1:
            fault = "is encrypted"
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            fault = "is compressed in a way that not every reader knows: use deflate"
        if fault := fault or size_fault(entry.file_size, size, limit):
            raise FileFault(self.name, file, fault)
        with archive.open(entry) as stream:
            content = stream.read(entry.file_size + 1)
        if fault := size_fault(len(content), entry.file_size, limit):
            raise FileFault(self.name, file, fault)
        return content

    def files(self) -> Iterator[str]:
        """See `Source`."""
        with zipfile.ZipFile(self.path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        prefix = _prefix(entries)
        yield from (entry.filename.removeprefix(prefix) for entry in entries)

    def bundles(self) -> list[str]:
        """See `Source`."""
        with zipfile.ZipFile(self.path) as archive:
            names = archive.namelist()
        return sorted({n.removesuffix(_NESTED) for n in names if n.endswith(_NESTED)})


_NESTED = "/manifest.json"


def _prefix(entries: list[zipfile.ZipInfo]) -> str:
    """The folder that the bundle is in, with a slash; empty if it is at the top."""
    names = [entry.filename for entry in entries]
    if "manifest.json" in names:
        return ""
    tops = {name.partition("/")[0] for name in names if name.endswith(_NESTED)}
    return f"{min(tops)}/" if len(tops) == 1 else ""
