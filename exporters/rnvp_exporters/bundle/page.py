"""``write_page``: a bundle and a page that shows it, as one folder for any static host.

    site/
      index.html, style.css, *.js        the page (``examples/web``)
      rnvp-runtime/src/                  the JavaScript runtime (``runtime/js``)
      onnxruntime-web/dist/              the WebAssembly build of onnxruntime: three files
      model.rnvp/                        the bundle, whole

The page reads nothing from anywhere else, so it works offline and on an intranet. onnxruntime-web
is not a Python package: it is copied from where npm installed it.
"""

import html
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from rnvp_exporters.errors import ExportError
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.signature import SIGNATURE_FILE
from rnvp_runtime.bundle.verification import check_files
from rnvp_runtime.outputs import check_output
from rnvp_runtime.publishing import check_folder_target, publish_folder
from rnvp_runtime.versions import is_older

__all__ = ["ONNXRUNTIME_WEB", "PageFile", "check_target", "find_onnxruntime_web", "write_page"]

ONNXRUNTIME_WEB = "1.30.0"
"""The onnxruntime-web that the page is tested with."""

WASM_BUILD = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
# Some hosts serve .mjs as application/octet-stream, which browsers refuse to run.
SERVED_AS = {name: name.replace(".mjs", ".js") for name in WASM_BUILD}
BUNDLE = "model.rnvp"
NAMELESS = '<meta name="rnvp-flow" content="" />'
VARIABLE = "RNVP_ONNXRUNTIME_WEB"


@dataclass(frozen=True)
class PageFile:
    """One file of a written page."""

    name: str  # POSIX path below the page's folder
    bytes: int


def write_page(
    bundle: str | PathLike[str],
    target: str | PathLike[str],
    *,
    force: bool = False,
    onnxruntime_web: str | PathLike[str] | None = None,
) -> tuple[PageFile, ...]:
    """Write the folder ``target``: a page that draws from the bundle at ``bundle``.

    Args:
        force: replace a page that is there already.
        onnxruntime_web: the npm package's folder; by default as `find_onnxruntime_web` finds it.

    Returns:
        What was written, the page's own files first, the bundle's last.

    Raises:
        BundleError: there is no bundle, or its manifest cannot be read.
        OutputError: the target exists and ``force`` is false, is also an input, or has the suffix
            of a file.
        ExportError: a file of the bundle is not as exported, the target exists and is not a page,
            or onnxruntime-web is not installed or is older than the bundle needs.
    """
    bundle, target = Path(bundle), Path(target)
    manifest = Manifest.read(bundle)
    if faults := [check for check in check_files(bundle, manifest) if not check.passed]:
        raise ExportError(f"{bundle / faults[0].name} {faults[0].detail}: export the bundle again")
    check_target(target, force=force, inputs=[bundle])
    engine = find_onnxruntime_web(onnxruntime_web, minimum=manifest.min_onnxruntime)
    page, runtime = _sources()
    with publish_folder(
        target, force=force, is_ours=_is_page, kind="page", error=ExportError
    ) as work:
        _copy(page, work)
        _name(work / "index.html", bundle.resolve().name.removesuffix(".rnvp"))
        _copy(runtime, work / "rnvp-runtime" / "src")
        (work / "onnxruntime-web" / "dist").mkdir(parents=True)
        for name, served in SERVED_AS.items():
            shutil.copyfile(engine / "dist" / name, work / "onnxruntime-web" / "dist" / served)
        signature = [SIGNATURE_FILE] if (bundle / SIGNATURE_FILE).is_file() else []
        for name in ("manifest.json", *signature, *manifest.files):
            (work / BUNDLE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / name, work / BUNDLE / name)
        _check_copy(work / BUNDLE, manifest, bundle)
    return _listed(target)


def _check_copy(copied: Path, manifest: Manifest, bundle: Path) -> None:
    """Check the copy of a bundle: the bundle may have been replaced since it was checked."""
    same = Manifest.read(copied) == manifest
    if not same or not all(check.passed for check in check_files(copied, manifest)):
        raise ExportError(f"{bundle} was replaced while it was copied: write the page again")


def check_target(
    target: Path,
    *,
    force: bool,
    inputs: Iterable[str | PathLike[str]] = (),
    how: str = "force=True",
) -> None:
    """Refuse to write a page over anything but, with ``force``, another page.

    Raises:
        OutputError: the target exists, is also an input, or has the suffix of a file.
        ExportError: the target exists and is not a page.
    """
    check_output(target, "web page", inputs=inputs, force=force, how=how)
    if target.exists():
        check_folder_target(target, force=force, is_ours=_is_page, kind="page", error=ExportError)


def _is_page(folder: Path) -> bool:
    return (folder / BUNDLE / "manifest.json").is_file()


def find_onnxruntime_web(
    given: str | PathLike[str] | None = None, *, minimum: str | None = None
) -> Path:
    """The folder of the npm package onnxruntime-web.

    ``given``; or the environment's ``RNVP_ONNXRUNTIME_WEB``; or as Node looks for it, in
    ``node_modules`` here and in each folder above, then in ``NODE_PATH``; or where
    ``npm install --global`` puts it.

    Raises:
        ExportError: it is not there, lacks the WebAssembly build, or is older than ``minimum``.
    """
    install = f"npm install onnxruntime-web@{ONNXRUNTIME_WEB}"
    named = given or os.environ.get(VARIABLE)
    here = Path.cwd()
    places = (
        [Path(named)]
        if named
        else [folder / "onnxruntime-web" for folder in (*_local_modules(here), *_global_modules())]
    )
    for place in places:
        if all((place / "dist" / name).is_file() for name in WASM_BUILD):
            found = json.loads((place / "package.json").read_text(encoding="utf-8"))["version"]
            if minimum and is_older(found, minimum):
                raise ExportError(
                    f"onnxruntime-web {found} is too old, this bundle needs {minimum}: {install}"
                )
            return place
    where = f"{named}" if named else "node_modules, here or above"
    raise ExportError(
        f"the page needs onnxruntime-web, which is not in {where}: run {install} (npm comes with "
        f"Node.js), or unpack its .tgz anywhere and set {VARIABLE} to that folder"
    )


def _local_modules(here: Path) -> list[Path]:
    """As Node looks for a package: here and above, then in NODE_PATH."""
    named = filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep))
    return [*(folder / "node_modules" for folder in (here, *here.parents)), *map(Path, named)]


def _global_modules() -> list[Path]:
    """Where npm installs packages with ``--global``, known from the place of Node itself."""
    found = []
    if prefix := os.environ.get("NPM_CONFIG_PREFIX"):
        found += [Path(prefix) / "lib" / "node_modules", Path(prefix) / "node_modules"]
    if node := shutil.which("node"):
        found.append(Path(node).resolve().parent.parent / "lib" / "node_modules")
        found.append(Path(node).parent.parent / "lib" / "node_modules")
    if roaming := os.environ.get("APPDATA"):  # Windows
        found.append(Path(roaming) / "npm" / "node_modules")
    return found


def _sources() -> tuple[Path, Path]:
    """The page's folder and the JavaScript runtime's: in the installed package, or in a clone."""
    packaged = Path(__file__).parents[1] / "page"
    if packaged.is_dir():
        return packaged / "web", packaged / "runtime"
    clone = Path(__file__).parents[3]
    return clone / "examples" / "web", clone / "runtime" / "js" / "src"


def _copy(source: Path, target: Path) -> None:
    """The files of a flat folder, without what only people and compilers read."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and not path.name.endswith((".md", ".d.ts")):
            shutil.copyfile(path, target / path.name)


def _name(page: Path, name: str) -> None:
    """Write the flow's name into the page: its bundle is always called ``model.rnvp`` there."""
    text = page.read_text(encoding="utf-8")
    named = text.replace(NAMELESS, NAMELESS.replace('""', f'"{html.escape(name)}"'), 1)
    page.write_text(named, encoding="utf-8", newline="\n")


def _listed(page: Path) -> tuple[PageFile, ...]:
    files = [path for path in page.rglob("*") if path.is_file()]
    named = sorted((path.relative_to(page).as_posix(), path.stat().st_size) for path in files)
    order = ("", "rnvp-runtime", "onnxruntime-web", BUNDLE)
    named.sort(key=lambda file: order.index(file[0].rpartition("/")[0].partition("/")[0]))
    return tuple(PageFile(name, size) for name, size in named)
