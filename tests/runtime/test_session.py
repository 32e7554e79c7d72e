"""Opening one graph of a bundle."""

from pathlib import Path

import pytest

from rnvp_runtime import BundleError, Manifest
from rnvp_runtime.session import open_graph


def test_an_unreadable_graph_is_a_bundle_error(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system says is told, and no OSError gets out."""

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    manifest = Manifest.read(bundle)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BundleError, match=r"density\.onnx cannot be read: Permission denied"):
        open_graph(bundle, manifest, "density", ["z"])
