"""What each competitor needs installed, in bytes: its packages and all that they require."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rnvp_runtime

__all__ = ["NEEDS", "installed_bytes"]

NEEDS = {
    "rnvp-deploy": ("onnxruntime", "numpy", "click"),
    "plain ONNX Runtime": ("onnxruntime", "numpy"),
    "OpenVINO": ("openvino", "numpy"),
    "TorchScript": ("torch", "numpy"),
    "eager PyTorch": ("torch", "numpy"),
}


def installed_bytes(competitor: str) -> int:
    """Of every file of every distribution that ``competitor`` needs, and of ours its runtime."""
    names: set[str] = set()
    for name in NEEDS[competitor]:
        _close(name, names)
    own = Path(rnvp_runtime.__file__).parent if competitor == "rnvp-deploy" else None
    return sum(map(_bytes_of, names)) + (_bytes_under(own) if own else 0)


def _close(name: str, found: set[str]) -> None:
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
            _close(requirement.name, found)


def _bytes_of(name: str) -> int:
    files = distribution(name).files or []
    paths = {Path(str(file.locate())).resolve() for file in files}
    return sum(path.stat().st_size for path in paths if path.is_file())


def _bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.py"))
