"""Names of the files of a bundle: the same files on every system, and all inside the bundle."""

import re
import unicodedata
from collections.abc import Iterable

from rnvp_runtime.bundle.limits import MAX_NAME_LENGTH

__all__ = ["find_fault"]

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')  # on Windows, or in a terminal
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


def find_fault(names: Iterable[str]) -> str | None:
    """What is wrong with the first bad name, in one line; None if all are good.

    A name is a relative POSIX path. No two names may be the same file where case or the Unicode
    form does not count, and no name may be the folder of another.
    """
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        if fault := _fault(name):
            return f"{name[:80]!a} {fault}"
        key = _folded(name)
        if key in seen:
            return f"{name!a} and {seen[key]!a} are one file where case or form does not count"
        seen[key] = name
        parts = key.split("/")
        folders |= {"/".join(parts[:i]): name for i in range(1, len(parts))}
    both = seen.keys() & folders.keys()
    if both:
        key = min(both)
        return f"{seen[key]!a} is a file, and the folder of {folders[key]!a}"
    return None


def _fault(name: str) -> str | None:
    if len(name) > MAX_NAME_LENGTH:
        return f"is longer than {MAX_NAME_LENGTH} characters"
    if name.startswith("/") or _FORBIDDEN.search(name) or not name.isprintable():
        return "is not inside the bundle, or holds a character that some systems forbid"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return "is not inside the bundle"
        if part.endswith((".", " ")) or _DEVICES.fullmatch(part):
            return "cannot be a file's name on Windows"
    if _folded(name) == "manifest.json":
        return "is the manifest itself"
    return None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", name).casefold())
