"""The interface of an engine: it opens one file of a bundle and returns a function.

An engine is a value. Its fields say which of a bundle's files it opens and which graphs it computes
wrongly, so that the code that uses an engine does not depend on its name.

A new engine is one module with a class that has this interface, and one line in
`rnvp_runtime.engines`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["DEFAULT_OPTIONS", "Array", "Engine", "OpenOptions", "Provider", "Run", "Signature"]

Array: TypeAlias = "NDArray[Any]"

Run: TypeAlias = Callable[[Mapping[str, "Array"]], Sequence["Array"]]
"""Computes a graph: inputs by name -> the outputs it was opened for, in that order.

It may be called from several threads at once.
"""

Provider: TypeAlias = str | tuple[str, Mapping[str, Any]]
"""An execution provider by the engine's own name, alone or with its options."""


@dataclass(frozen=True)
class Signature:
    """Which graph to open, for engines whose files do not name inputs and outputs."""

    graph: str  # "density", "inverse", "sampler"
    inputs: tuple[str, ...]  # names, in the order of the graph's inputs
    outputs: tuple[str, ...]  # names, in the order of the graph's outputs

    @classmethod
    def of(cls, manifest: "Manifest", graph: str) -> Self:
        """The signature of ``graph`` in the bundle that ``manifest`` describes."""
        described = manifest.graphs[graph]
        return cls(
            graph,
            tuple(spec.name for spec in described.inputs),
            tuple(spec.name for spec in described.outputs),
        )


@dataclass(frozen=True)
class OpenOptions:
    """How to open a graph. An engine may ignore options that it does not need, except providers."""

    source: str = "the graph"  # what errors call it, such as a path
    few_rows: bool = False  # prefer low latency for a few rows over low memory for many
    providers: tuple[Provider, ...] = ()  # in order of preference; empty is the engine's default


DEFAULT_OPTIONS = OpenOptions()


class Engine(Protocol):
    """An engine that can compute a bundle's graphs."""

    @property
    def format(self) -> str:
        """The format it opens: a key of the manifest's ``graphs.<name>.files``."""

    @property
    def keeps_nan(self) -> bool:
        """Whether NaN and infinity in an input row reach the outputs of that row."""

    @property
    def wrong_graphs(self) -> Mapping[str, str]:
        """Graphs that it computes wrongly without an error -> what to do instead."""

    def check(self, manifest: "Manifest", providers: Sequence[Provider] = ()) -> None:
        """Check, without opening a graph, that this machine can run the bundle.

        Raises:
            MissingExtraError: the engine is not installed.
            EngineError: it is installed and cannot be imported.
            BundleError: it is too old for the bundle.
            InputError: it has no such provider. The text names those that it has.
        """

    def open(
        self,
        content: bytes,
        outputs: Sequence[str],
        *,
        signature: Signature | None = None,
        options: OpenOptions = DEFAULT_OPTIONS,
    ) -> Run:
        """Open a graph.

        Args:
            content: the bytes of a file in the engine's `format`.
            outputs: names of the outputs to compute; nothing else needs to be.
            signature: the graph's name, inputs and outputs. An engine whose files carry the
                names themselves needs none.
            options: see `OpenOptions`.

        Raises:
            BundleError: the bytes are not a graph that the engine can run.
            EngineError: the engine does not run the graph on a provider in ``options``.
            InputError: as for `check`.
        """
