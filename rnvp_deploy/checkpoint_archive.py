"""The zip archive of a checkpoint is checked before PyTorch opens it.

    model/data.pkl      the containers, as a pickle
    model/data/0, 1, …  the numbers of each tensor
    model/version, …    what PyTorch says about itself

PyTorch does not compare a member with its checksum, so that it reads a damaged weight without an
error. It inflates a compressed member to any size. This module refuses both.
"""

import zipfile
from typing import BinaryIO

__all__ = ["check_archive"]

_CHUNK = 1 << 20
_ENCRYPTED = 0x1


def check_archive(stream: BinaryIO) -> int:
    """Check the archive in ``stream``, which is left at its start.

    Returns:
        The size of ``data.pkl``, in bytes.

    Raises:
        ValueError: it is not an archive of PyTorch, or is damaged. The text is one line.
    """
    length = stream.seek(0, 2)
    try:
        with zipfile.ZipFile(stream) as archive:
            size = _check_members(archive, length)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    stream.seek(0)
    return size


def _check_members(archive: zipfile.ZipFile, length: int) -> int:
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
    for member in members:
        with archive.open(member) as content:  # reading to the end compares the checksum
            while content.read(_CHUNK):
                pass
    return pickles[0].file_size
