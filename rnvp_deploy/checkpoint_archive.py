"""The zip archive that ``torch.save`` writes is checked and copied before PyTorch opens it.

    model/data.pkl      the containers, as a pickle
    model/data/0, 1, …  the numbers of each tensor
    model/version, …    what PyTorch says about itself

PyTorch does not compare a member with its checksum, so that it reads a damaged weight without an
error. It inflates a compressed member to any size. This module refuses both. And PyTorch's reader
of archives is another than Python's: a header that the two understand differently could give
PyTorch other numbers than those that were checked. So PyTorch opens a new archive, of the members
that were checked.
"""

import io
import shutil
import zipfile
from typing import BinaryIO

__all__ = ["copy_archive"]

_CHUNK = 1 << 20
_ENCRYPTED = 0x1


def copy_archive(stored: bytes) -> tuple[BinaryIO, int]:
    """A new archive with the members of the archive ``stored``, after they were checked.

    Returns:
        The archive, and the size of its ``data.pkl`` in bytes.

    Raises:
        ValueError: it is not an archive of PyTorch, or is damaged. The text is one line.
    """
    copy = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(stored)) as archive, zipfile.ZipFile(copy, "w") as new:
            pickled = _check_members(archive, len(stored))
            for member in archive.infolist():
                described = zipfile.ZipInfo(member.filename)
                described.file_size = member.file_size
                # Reading a member to its end compares its checksum.
                with archive.open(member) as content, new.open(described, "w") as target:
                    shutil.copyfileobj(content, target, _CHUNK)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    copy.seek(0)
    return copy, pickled.file_size


def _check_members(archive: zipfile.ZipFile, length: int) -> zipfile.ZipInfo:
    """The member ``data.pkl``. ValueError: PyTorch writes no such archive."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise ValueError("two of its members have one name")
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise ValueError("it is a TorchScript program")
    pickles = [member for member in members if member.filename.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError(f"it holds {len(pickles)} members data.pkl, expected 1")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
            raise ValueError(f"its member {member.filename!a} is compressed or encrypted")
    if sum(member.file_size for member in members) > length:
        raise ValueError("its members are longer than the file")
    return pickles[0]
