"""Every example in a docstring runs, in a folder that holds model.pt and model.rnvp."""

import doctest
import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

import rnvp_deploy
import rnvp_exporters
from rnvp_deploy import RNVPConfig
from tests.flows import NEAR_1, lively

PACKAGES = ("rnvp_deploy", "rnvp_exporters", "rnvp_runtime")


def modules_with_examples() -> list[str]:
    """The names of the modules whose source has a doctest prompt."""
    names = []
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent
        for path in sorted(folder.rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                parts = path.relative_to(folder.parent).with_suffix("").parts
                names.append(".".join(parts).removesuffix(".__init__"))
    return names


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint and the bundle of one flow in two dimensions."""
    folder = tmp_path_factory.mktemp("examples")
    flow = lively(RNVPConfig(dim=2), units=NEAR_1).float()
    rnvp_deploy.save(flow, folder / "model.pt")
    rnvp_exporters.export(flow, folder / "model.rnvp", formats=("onnx",))
    return folder


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_print_what_they_say(
    name: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examples of a module run and print their expected output."""
    monkeypatch.chdir(models)
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = doctest.testmod(module, optionflags=options)
    assert found.failed == 0


def test_some_modules_have_examples() -> None:
    """The search finds the packages' sources."""
    assert "rnvp_deploy.flow" in modules_with_examples()
