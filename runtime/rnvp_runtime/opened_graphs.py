"""The graphs of one bundle, each opened when it is first used.

`OpenedGraphs` handles three events in a server that has loaded a bundle. The folder is replaced or
removed: an error says so. The process forks: a fork waits until no graph is being opened, and the
child gets new locks. Several threads ask for one graph: it is opened once.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar
from weakref import WeakSet

import numpy as np

from rnvp_runtime.bundle.graph_file import graph_file, read_graph
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.sources import FileFault, Source
from rnvp_runtime.engines import (
    ENGINES,
    Array,
    Engine,
    OpenOptions,
    Provider,
    Run,
    Signature,
)
from rnvp_runtime.engines.default import engine_names
from rnvp_runtime.engines.providers import check_vectors_once
from rnvp_runtime.errors import BundleError, EngineError, InputError, RnvpError

__all__ = ["OpenedGraphs", "RowRun"]

_Content = TypeVar("_Content")

_TRIES = 10  # to read one bundle whole while it is replaced again and again

RowRun: TypeAlias = Callable[[Mapping[str, Array], int], Sequence[Array]]
"""Computes a graph for inputs of so many rows; the outputs have the signature's dtype and shape."""


class OpenedGraphs:
    """Opens each graph once for each set of outputs, also when several threads ask for it.

    Args:
        source: of the bundle.
        engine: what runs the graphs; with None, what `rnvp_runtime.engines.default` says.
        providers: the engine's execution providers.
        preload: read all files of the graphs now.

    Attributes:
        manifest: of the bundle; another one if the bundle was replaced before a graph was opened.
        lock: held while a graph is opened.
    """

    def __init__(
        self, source: Source, engine: Engine | None, providers: Sequence[Provider], *, preload: bool
    ) -> None:
        self.manifest = Manifest.read_from(source)
        self._source = source
        self._engine, self._providers = engine, tuple(providers)
        self._runs: dict[tuple[str, tuple[str, ...], bool], RowRun] = {}
        self._contents: dict[str, bytes] = {}
        self._closed = False
        self.lock: Any = threading.RLock()  # a fork by the thread that opens must not wait for it
        _alive.add(self)
        if preload:
            self._contents = self._from_one_bundle(self._read_all)

    def get(self, graph: str, outputs: tuple[str, ...], *, few_rows: bool) -> RowRun:
        """The function that computes ``outputs`` of ``graph``.

        Raises:
            BundleError: its file is missing or altered, or the engine cannot run it.
            InputError: it is closed.
            EngineError, InputError, MissingExtraError: as `Engine.check` and `Engine.open` do.
        """
        return self._runs.get((graph, outputs, few_rows)) or self._open(graph, outputs, few_rows)

    def close(self) -> None:
        """Release the sessions and the bytes; `get` then raises. Running calls end as usual."""
        with self.lock:
            self._closed = True
            self._runs, self._contents = {}, {}

    def after_fork(self, *, had_threads: bool) -> None:
        """Make the copy of a forked child usable.

        If the parent had other threads, one of them may have been inside an engine, and held a lock
        there that is never released. The sessions are then opened again, and the old ones are kept,
        since closing them may wait for such a lock too.
        """
        self.lock = threading.RLock()
        if had_threads and self._runs:
            _abandoned.append(self._runs)
            self._runs = {}

    def _open(self, graph: str, outputs: tuple[str, ...], few_rows: bool) -> RowRun:
        with self.lock:
            if self._closed:
                raise InputError("the flow is closed: load it again")
            if (graph, outputs, few_rows) not in self._runs:
                run = self._opened(graph, outputs, few_rows)
                self._runs[graph, outputs, few_rows] = _with_contract(
                    run, self.manifest, graph, outputs
                )
            return self._runs[graph, outputs, few_rows]

    def _opened(self, graph: str, outputs: tuple[str, ...], few_rows: bool) -> Run:
        *others, last = self._engines(graph, few_rows)
        for engine in others:
            try:
                return self._open_with(engine, graph, outputs, few_rows)
            except FileFault:  # a file that is not as exported is never passed over
                raise
            except BundleError:  # of a later format, for example: the last engine serves it too
                continue
        return self._open_with(last, graph, outputs, few_rows)

    def _engines(self, graph: str, few_rows: bool) -> list[Engine]:
        """The engines to try, in order."""
        if self._engine is not None:
            return [self._engine]
        names = engine_names(self.manifest, graph, few_rows=few_rows, providers=self._providers)
        return [ENGINES[name] for name in names]

    def _open_with(
        self, engine: Engine, graph: str, outputs: tuple[str, ...], few_rows: bool
    ) -> Run:
        engine.check(self.manifest, self._providers)
        file = graph_file(self.manifest, graph, engine.format)
        content = self._contents.get(file) or self._from_one_bundle(
            lambda: read_graph(self._source, self.manifest, graph, engine.format)
        )
        check_vectors_once(self._source, self.manifest, graph, content, engine, self._providers)
        file = graph_file(self.manifest, graph, engine.format)  # of the bundle that is there now
        return engine.open(
            content,
            outputs,
            signature=Signature.of(self.manifest, graph),
            options=OpenOptions(f"{self._source.name}/{file}", few_rows, self._providers),
        )

    def _read_all(self) -> dict[str, bytes]:
        contents: dict[str, bytes] = {}
        for graph in self.manifest.graphs:
            for engine in self._engines(graph, few_rows=True):
                file = graph_file(self.manifest, graph, engine.format)
                if file not in contents:
                    contents[file] = read_graph(self._source, self.manifest, graph, engine.format)
        return contents

    def _from_one_bundle(self, read: Callable[[], _Content]) -> _Content:
        """The result of ``read``, called again if the bundle was replaced before its first use.

        Raises:
            BundleError: it fails. If the cause is that the bundle was replaced or removed since its
                manifest was read, the text says so.
        """
        for _ in range(_TRIES):
            try:
                return read()
            except BundleError as error:
                self._follow_replacement(error)
        return read()

    def _follow_replacement(self, error: BundleError) -> None:
        """Use the manifest that is there now if it is compatible, else raise an error."""
        name = self._source.name
        advice = "load it again, or keep it in memory with load(path, preload=True)"
        try:
            now = Manifest.read_from(self._source)
        except BundleError:
            raise BundleError(
                f"{name} was removed or damaged since it was loaded: put it back, {advice}"
            ) from None
        if now == self.manifest:
            raise error  # it is the same bundle, and a file of it is damaged
        if self._runs or _interface(now) != _interface(self.manifest):
            raise BundleError(
                f"{name} was replaced since it was loaded (its id was {self.manifest.id} and is "
                f"{now.id}): {advice}"
            ) from None
        self.manifest = now


def _interface(manifest: Manifest) -> tuple[object, ...]:
    """The facts about a flow that a caller may have read before the first call."""
    return (
        manifest.dim,
        manifest.context_dim,
        manifest.columns,
        manifest.context_columns,
        manifest.dtype,
        sorted(manifest.graphs),
    )


def _with_contract(run: Run, manifest: Manifest, graph: str, outputs: tuple[str, ...]) -> RowRun:
    """``run``, with a check that each output has the dtype and shape in the manifest.

    An engine may return another dtype or shape without an error. Copying such an output into a
    result could broadcast one row to all rows.
    """
    specs = {spec.name: spec for spec in manifest.graphs[graph].outputs}
    expected = [(np.dtype(specs[name].dtype), specs[name].shape[1:]) for name in outputs]

    def checked(inputs: Mapping[str, Array], rows: int) -> Sequence[Array]:
        try:
            results = run(inputs)
        except (RnvpError, MemoryError):
            raise
        except Exception as error:  # each engine has classes of its own
            reason = " ".join(str(error).split())
            raise EngineError(f"the engine cannot run {graph}: {reason}") from None
        for result, (dtype, tail) in zip(results, expected, strict=True):
            if result.dtype != dtype or result.shape != (rows, *tail):
                raise EngineError(
                    f"{graph} gave {result.dtype} {result.shape}, expected {dtype} "
                    f"{(rows, *tail)}: the bundle or the engine is faulty, run rnvp-verify"
                )
        return results

    return checked


_alive: WeakSet[OpenedGraphs] = WeakSet()
_abandoned: list[object] = []
_forking = threading.local()  # what the thread that forks knows of the parent


def _before_fork() -> None:
    """Wait until no thread opens a graph: a lock that it holds would stay locked in the child."""
    _forking.had_threads = len(sys._current_frames()) > 1
    _forking.locks = [graphs.lock for graphs in list(_alive)]
    for lock in _forking.locks:
        lock.acquire()


def _after_fork_in_parent() -> None:
    for lock in _forking.locks:
        lock.release()


def _after_fork_in_child() -> None:
    for graphs in list(_alive):
        graphs.after_fork(had_threads=_forking.had_threads)


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
