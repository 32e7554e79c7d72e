"""``rnvp-web`` writes a page from a bundle alone, without PyTorch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rnvp_exporters.bundle.page import ONNXRUNTIME_WEB, WASM_BUILD
from rnvp_exporters.commands.web import web
from rnvp_runtime.terminal.printable import printable


def engine(folder: Path) -> Path:
    """Write a stand-in for npm's onnxruntime-web."""
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"version": ONNXRUNTIME_WEB}))
    for name in WASM_BUILD:
        (folder / "dist" / name).write_text(name)
    return folder


@pytest.fixture
def ort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for onnxruntime-web in node_modules of the current folder."""
    monkeypatch.delenv("RNVP_ONNXRUNTIME_WEB", raising=False)
    monkeypatch.chdir(tmp_path)
    return engine(tmp_path / "node_modules" / "onnxruntime-web")


def run(*arguments: object) -> Result:
    """Run the command with these arguments."""
    return CliRunner().invoke(web, [str(argument) for argument in arguments])


def test_it_writes_the_page_and_says_how_to_see_it(bundle: Path, ort: Path) -> None:
    """One folder holds the page, the runtime, the engine and the bundle."""
    told = run(bundle, "site")
    assert told.exit_code == 0, told.output
    assert "See it: python -m http.server --directory site" in told.stdout
    for name in ("index.html", "rnvp-runtime/src/index.js", "model.rnvp/density.onnx"):
        assert (Path("site") / name).is_file()
    again = json.loads(run(bundle, "site", "--force", "--json").stdout)
    assert again["files"]["index.html"] == Path("site/index.html").stat().st_size


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of text only")
@pytest.mark.parametrize("name", [b"b\xff.rnvp", b"\x80", b"a\nb.rnvp", "é€.rnvp".encode()])
def test_a_bundle_and_a_page_may_have_any_name(bundle: Path, ort: Path, name: bytes) -> None:
    """The page is UTF-8, and shows what is no text as an escape, as error messages do."""
    given, site = Path(os.fsdecode(name)), Path(os.fsdecode(name + b"site"))
    shutil.copytree(bundle, given)
    told = run(given, site)
    assert told.exit_code == 0, told.output
    page = (site / "index.html").read_text(encoding="utf-8")
    assert f'content="{printable(given.name.removesuffix(".rnvp"))}"' in page


def test_it_imports_neither_torch_nor_onnx(bundle: Path, ort: Path) -> None:
    """The plain install has neither torch nor onnx, so the command must not import them."""
    code = (
        "import sys; from click.testing import CliRunner\n"
        "from rnvp_exporters.commands.web import web\n"
        "assert CliRunner().invoke(web, sys.argv[1:]).exit_code == 0\n"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'jinja2'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, bundle, "site"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_what_is_there_is_kept(bundle: Path, ort: Path) -> None:
    """An existing page is replaced with --force; other folders and the bundle never are."""
    Path("site").mkdir()
    Path("site/thesis.tex").touch()
    said = {(): "site exists: pass --force", ("--force",): "is not a page; it is left alone"}
    for options, expected in said.items():
        result = run(bundle, "site", *options)
        assert (result.exit_code, expected in result.stderr) == (1, True)
    for folder in (bundle, bundle / "site"):
        result = run(bundle, folder, "--force")
        assert (result.exit_code, "input: name another output" in result.stderr) == (1, True)


def test_a_missing_engine_is_one_line_that_says_what_to_do(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the npm command, and what to do without npm."""
    monkeypatch.setenv("RNVP_ONNXRUNTIME_WEB", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    result = run(bundle, "site")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"run npm install onnxruntime-web@{ONNXRUNTIME_WEB} (npm comes with" in result.stderr
    assert "or unpack its .tgz anywhere and set RNVP_ONNXRUNTIME_WEB" in result.stderr
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("place", ["NODE_PATH", "NPM_CONFIG_PREFIX"])
def test_global_packages_are_found(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """onnxruntime-web is found through NODE_PATH and in npm's global folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("RNVP_ONNXRUNTIME_WEB", raising=False)
    below = {"NODE_PATH": ".", "NPM_CONFIG_PREFIX": "lib/node_modules"}[place]
    engine(tmp_path / "global" / below / "onnxruntime-web")
    monkeypatch.setenv(place, str(tmp_path / "global"))
    assert run(bundle, "site").exit_code == 0


def test_another_file_in_place_of_the_bundle_is_named(tmp_path: Path, ort: Path) -> None:
    """The error for a checkpoint says to export it first."""
    (tmp_path / "model.pt").touch()
    result = run("model.pt", "site")
    assert "export it first, rnvp-export model.pt" in result.stderr
