"""The flow of a worker process: a bundle that was sent there or can be read there, opened once."""

import hashlib
import io
import os
import tempfile
import threading
import zipfile
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from rnvp_runtime.bundle.limits import MAX_FILE_BYTES, MAX_MANIFEST_BYTES
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.sources import open_source
from rnvp_runtime.flow import Flow, load

__all__ = ["BundleForWorkers", "SentBundle", "flow_of", "for_workers"]

_KEPT = 4  # flows that a worker keeps open


@dataclass(frozen=True)
class SentBundle:
    """The files of a bundle, which an engine sends to its workers."""

    digest: str  # SHA-256 of the content
    name: str = field(compare=False)
    content: bytes = field(compare=False, repr=False)  # a zip file


BundleForWorkers: TypeAlias = SentBundle | str
"""A bundle that is sent, or a path or URI that every worker can read."""


def for_workers(bundle: str | PathLike[str], *, send: bool = True) -> BundleForWorkers:
    """The value to send to the workers for ``bundle``.

    Args:
        bundle: a folder, a zip file, or the URI of a zip file, such as
            ``s3://bucket/model.rnvp.zip``.
        send: send its files, so that every worker has the same bundle even if the path does not
            exist there or is replaced meanwhile. If false, each worker opens the path.

    Raises:
        BundleError: it is not a bundle.
        TableError: the URI cannot be read.
    """
    name = os.fspath(bundle)
    if "://" in name:
        return _sent(name, _fetched(name)) if send else name
    source = open_source(name)
    manifest = Manifest.read_from(source)
    if not send:
        return os.path.abspath(name)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            _entry("manifest.json"), source.read("manifest.json", None, MAX_MANIFEST_BYTES)
        )
        for file, record in sorted(manifest.files.items()):
            archive.writestr(_entry(file), source.read(file, record.bytes, MAX_FILE_BYTES))
    return _sent(name, buffer.getvalue())


def flow_of(bundle: BundleForWorkers, threads: int = 1) -> Flow:
    """The flow of ``bundle`` in this process: opened at the first call, and kept.

    Raises:
        BundleError: it is not a bundle, or cannot be read here.
    """
    with _lock:
        key = (bundle, threads)
        if key not in _flows:
            while len(_flows) >= _KEPT:
                del _flows[next(iter(_flows))]
            _flows[key] = _opened(bundle, threads)
        return _flows[key]


def _opened(bundle: BundleForWorkers, threads: int) -> Flow:
    if isinstance(bundle, str) and "://" not in bundle:
        return load(bundle, threads=threads)
    sent = bundle if isinstance(bundle, SentBundle) else _sent(bundle, _fetched(bundle))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(sent.name).name.removesuffix('.zip')}.zip"
        path.write_bytes(sent.content)
        return load(path, threads=threads, preload=True)


def _fetched(uri: str) -> bytes:
    from rnvp_runtime.tables.sources import find_sources  # only for a URI: it needs pyarrow

    [source], _ = find_sources(uri)
    with source.open() as file:
        return file.read()


def _sent(name: str, content: bytes) -> SentBundle:
    return SentBundle(hashlib.sha256(content).hexdigest(), name, content)


def _entry(file: str) -> zipfile.ZipInfo:
    """An entry without a time, so that a bundle has one digest."""
    entry = zipfile.ZipInfo(file)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


_flows: dict[tuple[BundleForWorkers, int], Flow] = {}
_lock = threading.RLock()
