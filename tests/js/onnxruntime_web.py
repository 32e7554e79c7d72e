"""A stand-in for the npm package onnxruntime-web, for tests that do not run it."""

import json
from pathlib import Path

from rnvp_exporters.bundle.page import ONNXRUNTIME_WEB, WASM_BUILD

__all__ = ["stand_in"]


def stand_in(folder: Path, version: str = ONNXRUNTIME_WEB) -> Path:
    """A folder with the names of the package's files."""
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"version": version}))
    for name in (*WASM_BUILD, "ort.webgpu.min.mjs"):
        (folder / "dist" / name).write_text(name)
    return folder
