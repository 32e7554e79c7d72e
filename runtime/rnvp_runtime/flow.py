"""A bundle as a flow: densities, latents and samples from onnxruntime, without PyTorch."""

import operator
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnvp_runtime.errors import InputError
from rnvp_runtime.inputs import Rows, is_frame, rows_of
from rnvp_runtime.manifest import Manifest
from rnvp_runtime.session import Run, open_graph
from rnvp_runtime.stream import fresh_seed, signed_seed
from rnvp_runtime.tiles import over_tiles, rows_in_a_tile

__all__ = ["Flow", "load"]

Array = NDArray[Any]  # float, of the bundle's dtype

_FEW = 16  # rows for which latency is everything; see `open_graph`. Of the sampler, 1: onnxruntime
# plans its memory for the count of the first call, and another count runs without a plan.


def load(path: str | PathLike[str], *, threads: int = 1) -> "Flow":
    """Load the bundle at ``path``, e.g. ``"model.rnvp"``.

    Only the manifest is read here; each graph is opened, its hash checked, when first used, once
    for each set of outputs that is asked of it.

    Parameters
    ----------
    path : path of the bundle's folder
    threads : int
        Threads that share a large input. Small inputs, of one tile, run on the caller's.

    Raises
    ------
    BundleError
        It is not a bundle, or one that this runtime cannot read.

    Example
    -------
    >>> flow = rnvp_runtime.load("model.rnvp")                    # doctest: +SKIP
    >>> flow.log_prob(flow.sample(1000, seed=7)).mean()           # doctest: +SKIP
    """
    return Flow(path, threads=threads)


class Flow:
    """A normalizing flow x <-> z with density p(x), loaded from a bundle; made by `load`.

    Rows go in as (n, dim) arrays of any numeric dtype and layout, as lists, or as pandas, polars
    or pyarrow tables, whose columns are taken by name. Results are in the bundle's dtype. NaN and
    infinity are numbers here: they pass through. For a conditional flow ``context`` is (n,
    context_dim), or left out where the data frame given holds the context's columns too.

    All methods may be called from several threads at once. A flow pickles as its path.

    Every method raises `InputError` for rows that do not fit, and `BundleError` if the graph that
    it needs is missing, altered, or too new for the onnxruntime installed.
    """

    def __init__(self, path: str | PathLike[str], *, threads: int = 1) -> None:
        if threads < 1:
            raise InputError(f"threads is {threads}, expected at least 1")
        self.path: Path = Path(path).absolute()
        self.threads: int = threads
        self.manifest: Manifest = Manifest.read(path)
        self.dim: int = self.manifest.dim
        self.context_dim: int = self.manifest.context_dim
        self.columns: tuple[str, ...] = self.manifest.columns
        self.context_columns: tuple[str, ...] = self.manifest.context_columns
        self._dtype = np.dtype(self.manifest.dtype)
        self._tile = rows_in_a_tile(self.manifest.flow.widths, self._dtype.itemsize)
        self._graphs: dict[tuple[str, tuple[str, ...], bool], Run] = {}
        self._opening = Lock()

    def __repr__(self) -> str:
        context = f", {self.context_dim} of context" if self.context_dim else ""
        return f"<Flow {self.path.name}: {self.dim} columns{context}, {self.manifest.dtype}>"

    def __reduce__(self) -> tuple[Callable[..., "Flow"], tuple[str, int]]:
        return _load_again, (str(self.path), self.threads)

    def log_prob(self, x: ArrayLike | Any, context: ArrayLike | Any = None) -> Array:
        """log p(x), or log p(x | context): (n,), in nats, of x in its own units."""
        return self._map("density", ("log_prob",), "x", x, context)[0]

    @overload
    def forward(
        self, x: Any, context: Any = None, *, return_log_prob: Literal[False] = False
    ) -> Array: ...
    @overload
    def forward(
        self, x: Any, context: Any = None, *, return_log_prob: Literal[True]
    ) -> tuple[Array, Array]: ...
    def forward(
        self, x: Any, context: Any = None, *, return_log_prob: bool = False
    ) -> Array | tuple[Array, Array]:
        """The latent z of x: (n, dim); with ``return_log_prob`` also log p(x): (n,), nats."""
        return _one_or_two(self._map("density", _names("z", return_log_prob), "x", x, context))

    @overload
    def inverse(
        self, z: Any, context: Any = None, *, return_log_prob: Literal[False] = False
    ) -> Array: ...
    @overload
    def inverse(
        self, z: Any, context: Any = None, *, return_log_prob: Literal[True]
    ) -> tuple[Array, Array]: ...
    def inverse(
        self, z: Any, context: Any = None, *, return_log_prob: bool = False
    ) -> Array | tuple[Array, Array]:
        """The x whose latent is z: (n, dim); with ``return_log_prob`` also log p(x): (n,), nats."""
        return _one_or_two(self._map("inverse", _names("x", return_log_prob), "z", z, context))

    @overload
    def sample(
        self,
        n: int,
        *,
        seed: int | None = None,
        start: int = 0,
        temperature: float = 1.0,
        context: Any = None,
        return_log_prob: Literal[False] = False,
    ) -> Array: ...
    @overload
    def sample(
        self,
        n: int,
        *,
        seed: int | None = None,
        start: int = 0,
        temperature: float = 1.0,
        context: Any = None,
        return_log_prob: Literal[True],
    ) -> tuple[Array, Array]: ...
    def sample(
        self,
        n: int,
        *,
        seed: int | None = None,
        start: int = 0,
        temperature: float = 1.0,
        context: Any = None,
        return_log_prob: bool = False,
    ) -> Array | tuple[Array, Array]:
        """Rows ``start`` ... ``start + n - 1`` of the stream of samples that ``seed`` names.

        Row i of a seed is a fixed point: ``sample(10, seed=7)[4:]`` and ``sample(6, seed=7,
        start=4)`` are the same rows, on any machine and however many threads.

        Parameters
        ----------
        n : int
        seed : int, optional
            -2**63 ... 2**64 - 1. Left out, each call takes fresh entropy from the system.
        start : int
            ``start + n`` is at most 2**63 - 1.
        temperature : float
            Scales the latents: 1 samples the flow, 0 gives the image of the origin.
        context : (n, context_dim), or (context_dim,) or (1, context_dim) for all rows
        return_log_prob : bool
            Also return the log-density of each sample.

        Returns
        -------
        x : (n, dim)
        log_prob : (n,), nats, only with ``return_log_prob``
        """
        n, start = operator.index(n), operator.index(start)
        if n < 0 or start < 0 or start + n >= 2**63:
            raise InputError(
                f"n is {n} and start {start}: both are at least 0, their sum at most 2**63 - 1"
            )
        bits = np.array(
            signed_seed(fresh_seed() if seed is None else operator.index(seed)), dtype=np.int64
        )
        heat = np.array(self._temperature(temperature), dtype=self._dtype)
        given = self._sample_context(context, n)

        def feeds(low: int, high: int) -> dict[str, Array]:
            fed: dict[str, Array] = {
                "seed": bits,
                "start": np.array(start + low, dtype=np.int64),
                "count": np.array(high - low, dtype=np.int64),
                "temperature": heat,
            }
            if given is not None:
                fed["context"] = given(low, high)
            return fed

        return _one_or_two(self._run("sampler", _names("x", return_log_prob), n, feeds))

    def _temperature(self, temperature: float) -> float:
        if not 0 <= temperature <= float(np.finfo(self._dtype).max):
            raise InputError(f"temperature is {temperature}, expected a finite number, 0 or more")
        return temperature

    def _map(
        self, graph: str, outputs: tuple[str, ...], name: str, values: Any, context: Any
    ) -> list[Array]:
        """``outputs`` of ``graph`` for the rows of ``values``, the input called ``name``."""
        rows = rows_of(values, name, self.columns, self._dtype)
        given = self._context(context, values)
        if given is None:
            return self._run(
                graph, outputs, len(rows), lambda low, high: {name: rows.run(low, high)}
            )
        if len(given) != len(rows):
            raise InputError(
                f"context has {len(given)} rows, {name} {len(rows)}: pass one for each row"
            )
        return self._run(
            graph,
            outputs,
            len(rows),
            lambda low, high: {name: rows.run(low, high), "context": given.run(low, high)},
        )

    def _context(self, context: Any, values: Any = None) -> Rows | None:
        """The rows of context, from ``context`` or the frame ``values``; None if there is none."""
        if not self.context_dim:
            if context is not None:
                raise InputError("context was given, but the flow takes none: leave it out")
            return None
        if context is None and values is not None and is_frame(values):
            context = values
        if context is None:
            raise InputError(
                f"the flow needs context, (n, {self.context_dim}): "
                f"{', '.join(self.context_columns)}"
            )
        return rows_of(context, "context", self.context_columns, self._dtype)

    def _sample_context(self, context: Any, n: int) -> Callable[[int, int], Array] | None:
        """Runs of the context of ``n`` samples; None for an unconditional flow."""
        if context is None and not self.context_dim:
            return None  # the way of most calls, and np.shape(None) takes a microsecond
        if not is_frame(context) and np.shape(context) == (self.context_dim,):
            context = np.asarray(context)[None]
        rows = self._context(context)
        if rows is None:
            return None
        if len(rows) == n:
            return rows.run
        if len(rows) != 1:
            raise InputError(f"context has {len(rows)} rows: pass one, or one for each of {n}")
        row = rows.run(0, 1)
        return lambda low, high: row.repeat(high - low, axis=0)

    def _run(
        self,
        graph: str,
        outputs: tuple[str, ...],
        rows: int,
        feeds: Callable[[int, int], dict[str, Array]],
    ) -> list[Array]:
        """``outputs`` of ``graph`` over ``rows`` rows; ``feeds`` gives the inputs of a tile."""
        few = rows <= (1 if graph == "sampler" else _FEW)
        run = self._graphs.get((graph, outputs, few)) or self._open(graph, outputs, few)
        if rows <= self._tile:
            return run(feeds(0, rows))
        results = [
            np.empty((rows, self.dim)[: 1 if o == "log_prob" else 2], self._dtype) for o in outputs
        ]

        def one_tile(low: int, high: int) -> None:
            for whole, part in zip(results, run(feeds(low, high)), strict=True):
                whole[low:high] = part

        over_tiles(one_tile, rows, self._tile, self.threads)
        return results

    def _open(self, graph: str, outputs: tuple[str, ...], few: bool) -> Run:
        with self._opening:
            if (graph, outputs, few) not in self._graphs:
                opened = open_graph(self.path, self.manifest, graph, outputs, few_rows=few)
                self._graphs[graph, outputs, few] = opened
            return self._graphs[graph, outputs, few]


def _load_again(path: str, threads: int) -> Flow:
    return Flow(path, threads=threads)


def _names(values: str, log_prob: bool) -> tuple[str, ...]:
    return (values, "log_prob") if log_prob else (values,)


def _one_or_two(results: list[Array]) -> Array | tuple[Array, Array]:
    return results[0] if len(results) == 1 else (results[0], results[1])
