"""The installed size of each competitor: its packages and all that they require."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rnvp_runtime
from benchmarks.competitors import Competitor

__all__ = ["installed_bytes"]


def installed_bytes(competitor: Competitor) -> int:
    """The size of every file of every distribution that ``competitor`` needs.

    Of rnvp-deploy, only the runtime is counted.
    """
    names: set[str] = set()
    for name in competitor.packages:
        _add_required(name, names)
    own = _bytes_under(Path(rnvp_runtime.__file__).parent) if competitor.form == "ours" else 0
    return sum(map(_bytes_of, names)) + own


def _add_required(name: str, found: set[str]) -> None:
    """Add a distribution, and those that it requires without extras, to ``found``."""
    name = canonicalize_name(name)
    if name in found:
        return
    try:
        required = distribution(name).requires or []
    except PackageNotFoundError:
        return
    found.add(name)
    for line in required:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            _add_required(requirement.name, found)


def _bytes_of(name: str) -> int:
    files = distribution(name).files or []
    paths = {Path(str(file.locate())).resolve() for file in files}
    return sum(path.stat().st_size for path in paths if path.is_file())


def _bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.py"))
