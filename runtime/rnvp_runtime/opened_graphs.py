"""The graphs of one bundle, each opened when it is first used."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from rnvp_runtime.bundle.graph_file import graph_file, read_graph
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.engines import Engine, OpenOptions, Provider, Run, Signature

__all__ = ["OpenedGraphs"]


class OpenedGraphs:
    """Opens each graph once for each set of outputs, also when several threads ask for it."""

    def __init__(
        self, folder: Path, manifest: Manifest, engine: Engine, providers: Sequence[Provider]
    ) -> None:
        self._folder, self._manifest = folder, manifest
        self._engine, self._providers = engine, tuple(providers)
        self._runs: dict[tuple[str, tuple[str, ...], bool], Run] = {}
        self._opening = Lock()

    def get(self, graph: str, outputs: tuple[str, ...], *, few_rows: bool) -> Run:
        """The function that computes ``outputs`` of ``graph``.

        Raises:
            BundleError: its file is missing or altered, or the engine cannot run it.
            EngineError, InputError, MissingExtraError: as `Engine.check` and `Engine.open` do.
        """
        return self._runs.get((graph, outputs, few_rows)) or self._open(graph, outputs, few_rows)

    def _open(self, graph: str, outputs: tuple[str, ...], few_rows: bool) -> Run:
        with self._opening:
            if (graph, outputs, few_rows) not in self._runs:
                self._engine.check(self._manifest, self._providers)
                content = read_graph(self._folder, self._manifest, graph, self._engine.format)
                file = graph_file(self._manifest, graph, self._engine.format)
                self._runs[graph, outputs, few_rows] = self._engine.open(
                    content,
                    outputs,
                    signature=Signature.of(self._manifest, graph),
                    options=OpenOptions(str(self._folder / file), few_rows, self._providers),
                )
            return self._runs[graph, outputs, few_rows]
