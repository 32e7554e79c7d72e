"""Fixtures: one exported bundle, shared since an export is slow, and hand-written bundles."""

from pathlib import Path

import pytest

import rnvp_deploy
import rnvp_exporters
from tests.flows import CONFIGS, lively
from tests.runtime.conftest import make_bundle

__all__ = ["exported", "make_bundle"]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the flow "given", exported to every format. Tests do not change it."""
    folder = tmp_path_factory.mktemp("exported")
    rnvp_deploy.save(lively(CONFIGS["given"]).float(), folder / "model.pt")
    (folder / "card.yaml").write_text("license: mit\nintended_use: Tests.\n", encoding="utf-8")
    rnvp_exporters.export(
        folder / "model.pt",
        folder / "model.rnvp",
        formats=("onnx", "torchscript", "pt2"),
        card=folder / "card.yaml",
    )
    return folder / "model.rnvp"
