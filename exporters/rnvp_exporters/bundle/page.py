"""``write_page``: a bundle and a page that shows it, as one folder for any static host.

    site/
      index.html, style.css, *.js        the page (``examples/web``)
      rnvp-runtime/src/                  the JavaScript runtime (``runtime/js``)
      onnxruntime-web/dist/              the WebAssembly build of onnxruntime, where it is needed
      model.rnvp/                        the bundle, whole

The page loads no other files, so it works offline and on an intranet. The native engine serves a
bundle that holds ``flow.bin``. For other bundles, or on request, the page runs onnxruntime-web.
That is not a Python package: it is copied from the folder in which npm installed it.
"""

import html
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from rnvp_exporters.errors import ExportError
from rnvp_runtime.bundle.manifest import Manifest, read_text
from rnvp_runtime.bundle.signature import MAX_SIGNATURE_BYTES, SIGNATURE_FILE
from rnvp_runtime.bundle.sources import open_source
from rnvp_runtime.bundle.verification import read_files
from rnvp_runtime.outputs import check_output
from rnvp_runtime.publishing import check_folder_target, publish_folder
from rnvp_runtime.terminal.printable import printable
from rnvp_runtime.versions import is_older

__all__ = [
    "ENGINES",
    "ONNXRUNTIME_WEB",
    "PageFile",
    "check_target",
    "find_onnxruntime_web",
    "write_page",
]

ONNXRUNTIME_WEB = "1.30.0"
"""The onnxruntime-web that the page is tested with."""

WASM_BUILD = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
# Some hosts serve .mjs as application/octet-stream, which browsers refuse to run.
SERVED_AS = {name: name.replace(".mjs", ".js") for name in WASM_BUILD}
BUNDLE = "model.rnvp"
SETTING = '<meta name="rnvp-{}" content="{}" />'
VARIABLE = "RNVP_ONNXRUNTIME_WEB"
ENGINES = ("native", "onnxruntime")


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
    engine: str | None = None,
    onnxruntime_web: str | PathLike[str] | None = None,
) -> tuple[PageFile, ...]:
    """Write the folder ``target``: a page that draws from the bundle at ``bundle``.

    Args:
        bundle: a folder or a zip file.
        force: replace a page that is there already.
        engine: what the page computes with, ``native`` or ``onnxruntime``; by default ``native``
            where the bundle has it.
        onnxruntime_web: the npm package's folder; by default as `find_onnxruntime_web` finds it.
            If given, it is part of the page also where this bundle does not need it, for other
            bundles that the page opens.

    Returns:
        What was written, the page's own files first, the bundle's last.

    Raises:
        BundleError: there is no bundle, or its manifest cannot be read.
        OutputError: the target exists and ``force`` is false, is also an input, or has the suffix
            of a file.
        ExportError: a file of the bundle is not as exported, the bundle has no such engine, the
            target exists and is not a page, or onnxruntime-web is needed and is not installed or
            is older than the bundle needs.
    """
    bundle, target = Path(bundle), Path(target)
    manifest, files = _read(bundle)
    check_target(target, force=force, inputs=[bundle])
    needed = _needs_onnxruntime(manifest, engine) or onnxruntime_web is not None
    minimum = manifest.min_onnxruntime
    package = find_onnxruntime_web(onnxruntime_web, minimum=minimum) if needed else None
    page, runtime = _sources()
    with publish_folder(
        target, force=force, is_ours=_is_page, kind="page", error=ExportError
    ) as work:
        _copy(page, work)
        name = bundle.resolve().name.removesuffix(".zip").removesuffix(".rnvp")
        _set(work / "index.html", {"flow": printable(name), "engine": engine or ""})
        _copy(runtime, work / "rnvp-runtime" / "src")
        if package:
            (work / "onnxruntime-web" / "dist").mkdir(parents=True)
            for source, served in SERVED_AS.items():
                shutil.copyfile(
                    package / "dist" / source, work / "onnxruntime-web" / "dist" / served
                )
        for name, content in files.items():
            (work / BUNDLE / name).parent.mkdir(parents=True, exist_ok=True)
            (work / BUNDLE / name).write_bytes(content)
    return _listed(target)


def _read(bundle: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and all files of a bundle. Each is read once: what is checked is written."""
    source = open_source(bundle)
    text = read_text(source)
    manifest = Manifest.from_bytes(text, source.name)
    checks, contents = read_files(source, manifest, manifest.files)
    if faults := [check for check in checks if not check.passed]:
        raise ExportError(f"{bundle / faults[0].name} {faults[0].detail}: export the bundle again")
    if SIGNATURE_FILE in source.files():
        contents[SIGNATURE_FILE] = source.read(SIGNATURE_FILE, None, MAX_SIGNATURE_BYTES)
    return manifest, {"manifest.json": text, **contents}


def check_target(
    target: Path,
    *,
    force: bool,
    inputs: Iterable[str | PathLike[str]] = (),
    how: str = "force=True",
) -> None:
    """Refuse a target that exists, unless it is a page and ``force`` is true.

    Raises:
        OutputError: the target exists, is also an input, or has the suffix of a file.
        ExportError: the target exists and is not a page.
    """
    check_output(target, "web page", inputs=inputs, force=force, how=how)
    if target.exists():
        check_folder_target(target, force=force, is_ours=_is_page, kind="page", error=ExportError)


def _needs_onnxruntime(manifest: Manifest, engine: str | None) -> bool:
    """Whether a page of the bundle computes with onnxruntime-web.

    Raises:
        ExportError: there is no such engine, or the bundle is not for it.
    """
    if engine not in (None, *ENGINES):
        raise ExportError(f"there is no engine {engine!r}: choose from {', '.join(ENGINES)}")
    native = all("native" in graph.files for graph in manifest.graphs.values())
    if engine == "native" and not native:
        why = manifest.native_refusal or "it was exported before there was one"
        raise ExportError(f"the bundle has no native engine ({why}): leave the engine out")
    return engine == "onnxruntime" or not native


def _is_page(folder: Path) -> bool:
    return (folder / BUNDLE / "manifest.json").is_file()


def find_onnxruntime_web(
    given: str | PathLike[str] | None = None, *, minimum: str | None = None
) -> Path:
    """The folder of the npm package onnxruntime-web.

    It is ``given``, or the folder that the environment variable ``RNVP_ONNXRUNTIME_WEB`` names.
    Without these it is searched as Node does, in ``node_modules`` here and in each folder above,
    then in ``NODE_PATH``. The last place is that of ``npm install --global``.

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
    """The folders in which Node searches a package: here and above, then in NODE_PATH."""
    named = filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep))
    return [*(folder / "node_modules" for folder in (here, *here.parents)), *map(Path, named)]


def _global_modules() -> list[Path]:
    """The folders in which ``npm --global`` may put packages, found from the place of Node."""
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
    """Copy the files of a flat folder, except those that only people and compilers read."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and not path.name.endswith((".md", ".d.ts")):
            shutil.copyfile(path, target / path.name)


def _set(page: Path, settings: Mapping[str, str]) -> None:
    """Write settings into the page, such as the name of the flow."""
    text = page.read_text(encoding="utf-8")
    for name, value in settings.items():
        text = text.replace(SETTING.format(name, ""), SETTING.format(name, html.escape(value)), 1)
    page.write_text(text, encoding="utf-8", newline="\n")


def _listed(page: Path) -> tuple[PageFile, ...]:
    files = [path for path in page.rglob("*") if path.is_file()]
    named = sorted((path.relative_to(page).as_posix(), path.stat().st_size) for path in files)
    order = ("", "rnvp-runtime", "onnxruntime-web", BUNDLE)
    named.sort(key=lambda file: order.index(file[0].rpartition("/")[0].partition("/")[0]))
    return tuple(PageFile(name, size) for name, size in named)
