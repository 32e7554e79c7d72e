"""Each script of the gallery runs on a small bundle, and the page shows its picture."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.docs.pictures import CONDITIONAL, PICTURES, ROOT, draw, scripts
from tests.runtime.conftest import make_bundle

__all__ = ["make_bundle"]

PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", scripts())
def test_a_script_draws_a_picture(
    script: str, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    """The script runs on a small hand-written bundle."""
    bundle = make_bundle(context_dim=1 if script in CONDITIONAL else 0, gradient=True)
    draw(script, bundle, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width > 300


@pytest.mark.parametrize("script", scripts())
def test_the_page_shows_it(script: str) -> None:
    """The page names the script's path and shows the picture of `make pictures`."""
    assert f"`examples/gallery/{script}.py`" in PAGE
    assert f"(pictures/{script}.png)" in PAGE
    assert (PICTURES / f"{script}.png").is_file()


def test_the_notebook_runs_from_top_to_bottom(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code cells run in order, and the notebook is stored without outputs."""
    make_bundle(gradient=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    text = (ROOT / "examples" / "first_look.ipynb").read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {}
    for cell in cells:
        assert cell["outputs"] == []
        exec("".join(cell["source"]), names)
    assert len(cells) == 6
