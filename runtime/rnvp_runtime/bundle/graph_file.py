"""The bytes of one graph of a bundle, checked against the manifest."""

import hashlib
from pathlib import Path

from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.errors import BundleError

__all__ = ["graph_file", "read_graph"]


def graph_file(manifest: Manifest, graph: str, format: str) -> str:
    """The name of the file that holds ``graph`` in ``format``, below the bundle's folder.

    Raises:
        BundleError: the bundle has no such file. The text names the formats that it has.
    """
    if graph not in manifest.graphs:
        raise BundleError(
            f"the bundle has no {graph} graph, only {', '.join(manifest.graphs)}: an older "
            "rnvp-deploy wrote it, export its checkpoint again"
        )
    files = manifest.graphs[graph].files
    if format not in files:
        raise BundleError(
            f"the bundle has no {graph} graph in the format {format!r}, only {', '.join(files)}: "
            f"export it again with that format, or choose another engine"
        )
    return files[format]


def read_graph(folder: Path, manifest: Manifest, graph: str, format: str) -> bytes:
    """The content of the file that holds ``graph`` in ``format``.

    Raises:
        BundleError: the file is missing, cannot be read, or is not the one that was exported.
    """
    file = graph_file(manifest, graph, format)
    try:
        content = (folder / file).read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{folder} has no {file}: copy the whole folder again") from None
    except OSError as error:
        raise BundleError(f"{folder / file} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != manifest.files[file].sha256:
        raise BundleError(
            f"{folder / file} is not the file that was exported (its sha256 differs): "
            "copy the whole folder again"
        )
    return content
