"""``write_page`` and ``rnvp-export --web`` write a folder for any static host, or nothing."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import rnvp_deploy
import rnvp_exporters
from rnvp_deploy import RNVP, RNVPConfig
from rnvp_exporters.bundle.page import (
    ONNXRUNTIME_WEB,
    SERVED_AS,
    find_onnxruntime_web,
    write_page,
)
from rnvp_exporters.commands import export as command
from rnvp_exporters.errors import ExportError
from rnvp_runtime import BundleError, OutputError
from tests.js.onnxruntime_web import stand_in

PACKAGE = Path(__file__).parents[2] / "runtime" / "js" / "package.json"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    flow = RNVP(RNVPConfig(dim=2, couplings=2))
    flow.initialise(torch.randn(100, 2, generator=torch.Generator().manual_seed(0)))
    rnvp_deploy.save(flow, folder / "model.pt")
    rnvp_exporters.export(flow, folder / "model.rnvp", formats=("onnx",))
    return folder


@pytest.fixture
def bundle(exported, tmp_path) -> Path:
    return Path(shutil.copytree(exported / "model.rnvp", tmp_path / "small.rnvp"))


@pytest.fixture
def ort(tmp_path, monkeypatch) -> Path:
    """A stand-in for onnxruntime-web in node_modules, one level above the current folder."""
    monkeypatch.delenv("RNVP_ONNXRUNTIME_WEB", raising=False)
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    return stand_in(tmp_path / "node_modules" / "onnxruntime-web")


def test_a_page_is_its_files_the_runtime_and_the_bundle(bundle, tmp_path, monkeypatch) -> None:
    """The page needs no onnxruntime-web and does not search for it."""
    monkeypatch.setenv("RNVP_ONNXRUNTIME_WEB", str(tmp_path / "none"))
    written = write_page(bundle, tmp_path / "site")
    names = [file.name for file in written]
    assert "index.html" in names
    assert "rnvp-runtime/src/worker.js" in names
    assert not [name for name in names if name.startswith("onnx")]
    assert sum(file.bytes for file in written) < 2**20
    inside = {
        f"model.rnvp/{path.relative_to(bundle)}" for path in bundle.rglob("*") if path.is_file()
    }
    assert {name for name in names if name.startswith("model.rnvp/")} == inside
    assert not [name for name in names if name.endswith((".d.ts", ".map", ".mjs"))]
    assert sum(file.bytes for file in written) == sum(
        path.stat().st_size for path in (tmp_path / "site").rglob("*") if path.is_file()
    )
    assert (tmp_path / "site").stat().st_mode & 0o777 == 0o755


def test_a_page_of_a_zip_file_is_that_of_its_folder(bundle, tmp_path) -> None:
    """Nothing of a zip file is extracted but what the page holds."""
    shutil.make_archive(str(tmp_path / "small.rnvp"), "zip", bundle)
    pages = [tmp_path / "of-folder", tmp_path / "of-zip"]
    for path, page in zip((bundle, tmp_path / "small.rnvp.zip"), pages, strict=True):
        write_page(path, page)
    folder, zipped = (
        {path.relative_to(page): path.read_bytes() for path in page.rglob("*") if path.is_file()}
        for page in pages
    )
    assert folder == zipped


def without_native(bundle: Path) -> None:
    """Change the manifest to that of a bundle without the native engine."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for graph in manifest["graphs"].values():
        del graph["files"]["native"]
    manifest["native_refusal"] = "it has a layer of mine"
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("why", ["needed", "asked for", "of the user"])
def test_onnxruntime_web_is_copied_if_it_is_used(bundle, ort, tmp_path, why) -> None:
    """The bundle may need it, the caller may choose it, or visitors' bundles may need it."""
    if why == "needed":
        without_native(bundle)
    options = {"asked for": {"engine": "onnxruntime"}, "of the user": {"onnxruntime_web": ort}}
    written = write_page(bundle, tmp_path / "site", **options.get(why, {}))
    assert {file.name for file in written if file.name.startswith("onnx")} == {
        f"onnxruntime-web/dist/{name}" for name in SERVED_AS.values()
    }
    assert not [file.name for file in written if file.name.endswith(".mjs")]
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    chosen = "onnxruntime" if why == "asked for" else ""
    assert f'<meta name="rnvp-engine" content="{chosen}" />' in page


def test_an_unknown_or_missing_engine_is_refused(bundle, tmp_path) -> None:
    """write_page refuses an unknown engine and an engine that the bundle lacks."""
    with pytest.raises(ExportError, match="no engine 'tensorflow': choose from native, onnx"):
        write_page(bundle, tmp_path / "site", engine="tensorflow")
    without_native(bundle)
    with pytest.raises(ExportError, match=r"no native engine \(it has a layer of mine\): leave"):
        write_page(bundle, tmp_path / "site", engine="native")


def test_the_page_is_called_as_its_bundle(bundle, ort, tmp_path) -> None:
    """The page has the name of its bundle, with special characters escaped in the HTML."""
    bundle.rename(tmp_path / 'a "b" & c.rnvp')
    write_page(tmp_path / 'a "b" & c.rnvp', tmp_path / "site")
    html = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert '<meta name="rnvp-flow" content="a &quot;b&quot; &amp; c" />' in html


def test_another_page_is_replaced_only_by_force(bundle, ort, tmp_path) -> None:
    """write_page replaces an existing page only with force, and no file of the old one remains."""
    write_page(bundle, tmp_path / "site")
    (tmp_path / "site" / "stale.js").write_text("")
    with pytest.raises(OutputError, match="exists: pass force=True"):
        write_page(bundle, tmp_path / "site")
    write_page(bundle, tmp_path / "site", force=True)
    assert not (tmp_path / "site" / "stale.js").exists()


def test_another_folder_is_left_alone(bundle, ort, tmp_path) -> None:
    """write_page refuses a folder that is not a page, also with force, and keeps its files."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.tex").write_text("")
    with pytest.raises(ExportError, match="is not a page; it is left alone"):
        write_page(bundle, tmp_path / "site", force=True)
    assert (tmp_path / "site" / "thesis.tex").exists()


def test_an_altered_bundle_gets_no_page(bundle, ort, tmp_path) -> None:
    """write_page refuses an altered bundle and writes nothing."""
    (bundle / "sampler.onnx").write_bytes(b"")
    with pytest.raises(ExportError, match=r"sampler.onnx is altered: 0 bytes"):
        write_page(bundle, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_missing_bundle_gets_no_page(ort, tmp_path) -> None:
    """write_page gives a BundleError for a bundle that does not exist."""
    with pytest.raises(BundleError, match="does not exist"):
        write_page(tmp_path / "none.rnvp", tmp_path / "site")


def test_a_failure_leaves_nothing_behind(bundle, ort, tmp_path, monkeypatch) -> None:
    """If a file cannot be copied, write_page leaves no new file or folder."""
    before = set(tmp_path.iterdir())

    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        write_page(bundle, tmp_path / "site")
    assert set(tmp_path.iterdir()) == before


def test_onnxruntime_web_is_named_or_found_as_node_finds_it(ort, tmp_path, monkeypatch) -> None:
    """The argument comes before RNVP_ONNXRUNTIME_WEB, which comes before node_modules."""
    assert find_onnxruntime_web() == ort
    other = stand_in(tmp_path / "other")
    monkeypatch.setenv("RNVP_ONNXRUNTIME_WEB", str(other))
    assert find_onnxruntime_web() == other
    assert find_onnxruntime_web(ort) == ort


def test_a_missing_onnxruntime_web_is_one_sentence(tmp_path, monkeypatch) -> None:
    """The error for a missing onnxruntime-web is one line with the npm command."""
    monkeypatch.setenv("RNVP_ONNXRUNTIME_WEB", str(tmp_path / "none"))
    with pytest.raises(ExportError) as caught:
        find_onnxruntime_web()
    assert f": run npm install onnxruntime-web@{ONNXRUNTIME_WEB} (npm" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_onnxruntime_web_that_is_too_old_is_refused(ort) -> None:
    """find_onnxruntime_web refuses a version older than ``minimum`` and gives the npm command."""
    with pytest.raises(ExportError, match=r"is too old, this bundle needs 99\.0: npm install"):
        find_onnxruntime_web(minimum="99.0")


def test_the_version_named_is_the_one_tested() -> None:
    """ONNXRUNTIME_WEB is the version of onnxruntime-web in the devDependencies of runtime/js."""
    assert json.loads(PACKAGE.read_text())["devDependencies"]["onnxruntime-web"] == ONNXRUNTIME_WEB


def test_rnvp_export_writes_the_page_and_prints_its_files(exported, ort, tmp_path) -> None:
    """rnvp-export --web writes the page, and prints its files and the command that serves it."""
    arguments = [str(exported / "model.pt"), "-o", str(tmp_path / "out.rnvp"), "--format", "onnx"]
    told = CliRunner().invoke(command.export, [*arguments, "--web", str(tmp_path / "site")])
    assert told.exit_code == 0, told.output
    for name in ("index.html", "rnvp-runtime/src/native-wasm.js", "model.rnvp/sampler.onnx"):
        assert f"{tmp_path / 'site' / name}  " in told.output
        assert (tmp_path / "site" / name).is_file()
    assert f"python -m http.server --directory {tmp_path / 'site'}" in told.output


def test_rnvp_export_refuses_at_once_a_page_that_cannot_be_written(exported, tmp_path) -> None:
    """The error comes before the export, which takes a while."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.tex").write_text("")
    arguments = [str(exported / "model.pt"), "-o", str(tmp_path / "out.rnvp"), "--force"]
    told = CliRunner().invoke(command.export, [*arguments, "--web", str(tmp_path / "site")])
    assert told.exit_code == 1
    assert "is not a page; it is left alone" in told.output
    assert not (tmp_path / "out.rnvp").exists()
