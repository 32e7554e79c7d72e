"""Names of the files of a bundle: the same files on every system, and all inside the bundle.

A name is a relative POSIX path of printable ASCII. So there is one way to write it, and every
reader agrees on which names are one file where case does not count.
"""

import re
from collections.abc import Iterable

from rnvp_runtime.bundle.limits import MAX_NAME_LENGTH
from rnvp_runtime.bundle.rules import Rule

__all__ = ["RULE", "find_fault"]

_INNER = r"[ !#-)+-.0-9;=@-Z\[\]^-{}~]"  # printable ASCII that Windows allows
_LAST = r"[!#-)+\-0-9;=@-Z\[\]^-{}~]"  # Windows drops a full stop or a space at the end
RULE = Rule(
    f"a path inside the bundle, of at most {MAX_NAME_LENGTH} ASCII characters that every system "
    "allows",
    {
        "maxLength": MAX_NAME_LENGTH,
        "pattern": f"^{_INNER}*{_LAST}(/{_INNER}*{_LAST})*$",
    },
)
"""What can be said of one name alone; `find_fault` finds the rest."""

_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def find_fault(names: Iterable[str]) -> str | None:
    """What is wrong with the first bad name, in one line; None if all are good.

    The names obey `RULE`. No two names may be the same file where case does not count, no name may
    be the folder of another, and none may be a device of Windows.
    """
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = name.lower()
        parts = key.split("/")
        if any(map(_DEVICES.fullmatch, parts)):
            return f"{name!a}, which is a device on Windows"
        if key == "manifest.json":
            return f"{name!a}, which is the manifest itself"
        if key in seen:
            return f"{name!a} and {seen[key]!a}, which are one file where case does not count"
        seen[key] = name
        folders |= {"/".join(parts[:i]): name for i in range(1, len(parts))}
    both = seen.keys() & folders.keys()
    if both:
        key = min(both)
        return f"{seen[key]!a}, a file, and {folders[key]!a}, which is inside it"
    return None
