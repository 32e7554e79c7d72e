"""``write_c_folder``: a flow as a folder of C that compiles on its own.

    flow/
      rnvp.h, rnvp.c, rnvp_*.h     the engine (``runtime/c``)
      flow.h, flow.c               the flow, as a constant array
      example.c, CMakeLists.txt    a program that draws samples and scores them
      README.md

The weights are in the program itself, so that no file can be missing when it runs.
"""

import os
import shutil
import struct
from pathlib import Path
from typing import cast

import rnvp_deploy
from rnvp_deploy import RNVP
from rnvp_exporters.errors import ExportError
from rnvp_exporters.native.flow_bin import FILE, HEADER, Dtype, flow_bin
from rnvp_runtime.bundle.graph_file import read_file
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.sources import open_source
from rnvp_runtime.publishing import check_folder_target, publish_folder

__all__ = ["check_exportable", "engine_sources", "write_c_folder", "write_from_bundle"]

TEMPLATES = Path(__file__).with_name("templates")
WORDS_IN_A_LINE = 8
KIND = "folder of C"


def write_c_folder(
    content: bytes, target: str | os.PathLike[str], *, force: bool = False
) -> tuple[str, ...]:
    """Write the folder ``target`` for the flow in ``content``.

    Args:
        content: the bytes of a ``flow.bin``; see ``flow_bin``.
        target: the folder. It must not exist.
        force: replace a folder that this function wrote.

    Returns:
        The names of the files.

    Raises:
        ExportError: the target is there already, or is not a folder of C.
    """
    header = HEADER.unpack_from(content)
    number, dim, context_dim = header[2], header[4], header[5]
    real = {1: "float", 2: "double"}[number]
    context = f"\n    static const {real} context[N][FLOW_CONTEXT_DIM];" if context_dim else ""
    values = {
        "@REAL@": real,
        "@DIM@": str(dim),
        "@CONTEXT_DIM@": str(context_dim),
        "@CONTEXT@": "context" if context_dim else "NULL",
        "@DECLARE_CONTEXT@": context,
    }
    with publish_folder(
        target, force=force, is_ours=_is_ours, kind=KIND, error=ExportError
    ) as work:
        for source in engine_sources():
            shutil.copyfile(source, work / source.name)
        (work / "flow.c").write_text(_array(content), encoding="utf-8")
        for template in sorted(TEMPLATES.iterdir()):
            text = template.read_text(encoding="utf-8")
            for name, value in values.items():
                text = text.replace(name, value)
            (work / template.name).write_text(text, encoding="utf-8")
        return tuple(sorted(path.name for path in work.iterdir()))


def check_exportable(source: RNVP | Path, target: Path, dtype: str | None, *, force: bool) -> None:
    """Check, before a bundle is exported, that its folder of C can be written.

    Args:
        source: the flow, or the path of its checkpoint.
        target: the folder.
        dtype: of the bundle; by default that of the flow.
        force: as for `write_c_folder`.

    Raises:
        CheckpointError: ``source`` is not an rnvp-deploy checkpoint.
        ExportError: the target exists, or ``flow.bin`` cannot hold the flow.
    """
    if target.exists():
        check_folder_target(target, force=force, is_ours=_is_ours, kind=KIND, error=ExportError)
    flow = source if isinstance(source, RNVP) else rnvp_deploy.load(source)
    try:
        flow_bin(flow, cast(Dtype, dtype or str(flow.dtype).removeprefix("torch.")))
    except ExportError as error:
        raise ExportError(f"{error}: export without --format c") from None


def write_from_bundle(
    bundle: Path, manifest: Manifest, target: Path, *, force: bool
) -> tuple[str, ...]:
    """Write the folder ``target`` for the ``flow.bin`` of a bundle; see `write_c_folder`.

    Raises:
        ExportError: as there, or the bundle has no ``flow.bin``.
        BundleError: its ``flow.bin`` is not the one that was exported.
    """
    if FILE not in manifest.files:
        raise ExportError(f"{target} was not written, {bundle} was: {manifest.native_refusal}")
    content = read_file(open_source(bundle), manifest, FILE)
    return write_c_folder(content, target, force=force)


def engine_sources() -> list[Path]:
    """The C files of the engine: in the installed package, or in a clone."""
    packaged = Path(__file__).with_name("c")
    folder = packaged if packaged.is_dir() else Path(__file__).parents[3] / "runtime" / "c"
    return [folder / "rnvp.c", *sorted(folder.glob("rnvp*.h"))]


def _is_ours(folder: Path) -> bool:
    return (folder / "rnvp.h").is_file() and (folder / "flow.c").is_file()


def _array(content: bytes) -> str:
    """The flow as a constant array of words, aligned as the format's arrays are."""
    words = [f"0x{word:08x}" for (word,) in struct.iter_unpack("<I", content)]
    lines = [
        ", ".join(words[at : at + WORDS_IN_A_LINE]) for at in range(0, len(words), WORDS_IN_A_LINE)
    ]
    return (
        '#include "flow.h"\n\n'
        f"_Alignas(64) const uint32_t flow_words[{len(words)}] = {{\n    "
        + ",\n    ".join(lines)
        + "};\nconst size_t flow_size = sizeof flow_words;\n"
    )
