"""A bundle as a flow: densities, latents and samples, without PyTorch."""

import operator
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.sources import BundlePath, absolute_path, open_source
from rnvp_runtime.engines import Provider, find_engine
from rnvp_runtime.engines.default import DEFAULT_ENGINE, FEW_ROWS
from rnvp_runtime.engines.providers import wrong_graphs
from rnvp_runtime.errors import InputError
from rnvp_runtime.frame_columns import with_index_of
from rnvp_runtime.inputs import is_frame, rows_of, shape_of
from rnvp_runtime.opened_graphs import OpenedGraphs
from rnvp_runtime.stream import fresh_seed, normals, signed_seed
from rnvp_runtime.tiles import over_tiles, rows_in_a_tile

__all__ = ["Flow", "load"]

Array = NDArray[Any]  # float, of the bundle's dtype

_GRADIENT_ROWS = 256
"""The most rows in a tile of the gradient graph, which keeps the activations of every layer."""


def load(
    path: BundlePath,
    *,
    threads: int = 1,
    engine: str | None = None,
    providers: Sequence[Provider] = (),
    preload: bool = False,
) -> "Flow":
    """Load the bundle at ``path``, e.g. ``"model.rnvp"``.

    Only the manifest is read here, unless ``preload`` is true. Each graph is opened, and its hash
    checked, when it is first used, once for each set of outputs.

    Args:
        path: the bundle's folder; a zip file of it, such as ``"model.rnvp.zip"``; or a folder of a
            package, as ``importlib.resources.files`` gives it.
        threads: number of threads that share a large input. An input of one tile runs on the
            caller's thread.
        engine: a name in `rnvp_runtime.engines.ENGINES`, which then serves every call. By default
            onnxruntime does, and the native engine where a call has few rows and the bundle holds
            ``flow.bin``: `rnvp_runtime.engines.default` is the rule. Both passed the proof at the
            export; their results differ by rounding.
        providers: execution providers in order of preference, by the engine's own names, such as
            ``["CUDAExecutionProvider"]``; empty is the engine's default, the CPU. A provider that
            the engine lacks, or does not use in the end, is an error. On a provider that is not
            the CPU the bundle's test vectors are run first, once in a process for each graph.
        preload: read all graphs now and keep their bytes, so that the bundle may be replaced or
            removed while the flow is in use.

    Raises:
        BundleError: it is not a bundle, or this runtime cannot read it.
        InputError: ``threads`` is below 1, or there is no such engine or provider.

    Example:
        >>> flow = rnvp_runtime.load("model.rnvp")                    # doctest: +SKIP
        >>> flow.log_prob(flow.sample(1000, seed=7)).mean()           # doctest: +SKIP
    """
    return Flow(path, threads=threads, engine=engine, providers=providers, preload=preload)


class Flow:
    """A normalizing flow x <-> z with density p(x), loaded from a bundle by `load`.

    Rows are (n, dim) arrays of any numeric dtype and layout, lists, or pandas, polars or pyarrow
    tables, whose columns are taken by name. Results have the bundle's dtype. NaN and infinity
    pass through. For a conditional flow ``context`` is (n, context_dim), or one row for all:
    (context_dim,) or (1, context_dim). It may be left out if a data frame is given that holds the
    context's columns too.

    A flow is a context manager. Its sessions are released at the end of the block, by `close`, or
    when the last reference to the flow is deleted:

        with rnvp_runtime.load("model.rnvp") as flow:
            x = flow.sample(1000, seed=7)

    All methods may be called from several threads at once. A pickled flow holds its path,
    threads, engine, providers and preload, and no weights. A forked process may use the flow of
    its parent.

    Every method raises `InputError` for rows that do not fit, `BundleError` if the graph that it
    needs is missing, altered, or too new for the engine, and `EngineError` or
    `MissingExtraError` if the engine does not run.
    """

    def __init__(
        self,
        path: BundlePath,
        *,
        threads: int = 1,
        engine: str | None = None,
        providers: Sequence[Provider] = (),
        preload: bool = False,
    ) -> None:
        if threads < 1:
            raise InputError(f"threads is {threads}, expected at least 1")
        if isinstance(providers, str):
            raise InputError(f"providers is {providers!r}, expected a list: pass [{providers!r}]")
        self.path: Path | Any = absolute_path(path) if isinstance(path, str | PathLike) else path
        self.threads: int = threads
        self.engine: str | None = engine
        self.providers: tuple[Provider, ...] = tuple(providers)
        self.preload: bool = preload
        chosen = find_engine(DEFAULT_ENGINE if engine is None else engine)
        self._graphs = OpenedGraphs(
            open_source(path),
            None if engine is None else chosen,
            self.providers,
            preload=preload,
        )
        self.dim: int = self.manifest.dim
        self.context_dim: int = self.manifest.context_dim
        self.columns: tuple[str, ...] = self.manifest.columns
        self.context_columns: tuple[str, ...] = self.manifest.context_columns
        self._dtype = np.dtype(self.manifest.dtype)
        self._tile = rows_in_a_tile(self.manifest.flow.widths, self._dtype.itemsize)
        self._gradient_tile = min(self._tile, _GRADIENT_ROWS)
        if self.providers:  # importing the engine takes time: only where there is more to check
            chosen.check(self.manifest, self.providers)
        self._sampler_is_wrong = "sampler" in wrong_graphs(chosen, self.providers)

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self._graphs.manifest

    def __repr__(self) -> str:
        context = f", {self.context_dim} of context" if self.context_dim else ""
        return f"<Flow {self.path.name}: {self.dim} columns{context}, {self.manifest.dtype}>"

    def close(self) -> None:
        """Release the engine's sessions and their memory.

        Calls that run in other threads end as usual. Later ones raise `InputError`. The manifest
        can still be read, and closing twice is not an error.
        """
        self._graphs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., "Flow"], tuple[Any, ...]]:
        path = str(self.path) if isinstance(self.path, Path) else self.path
        return _load_again, (path, self.threads, self.engine, self.providers, self.preload)

    def log_prob(self, x: ArrayLike | Any, context: ArrayLike | Any = None) -> Array:
        """log p(x), or log p(x | context), of x in its own units.

        Returns:
            (n,), in nats. For a pandas DataFrame a Series called log_prob with its index.
        """
        found = self._map("density", ("log_prob",), "x", x, context)[0]
        result: Array = with_index_of(x, found, "log_prob")
        return result

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
        """The latent z of x: (n, dim).

        Args:
            x: (n, dim).
            context: (n, context_dim), for a conditional flow.
            return_log_prob: also return log p(x): (n,), nats.
        """
        return _one_or_two(self._map("density", _names("z", return_log_prob), "x", x, context))

    def log_prob_and_grad(
        self, x: ArrayLike | Any, context: ArrayLike | Any = None
    ) -> tuple[Array, ...]:
        """log p(x | context) and its derivatives.

        Returns:
            log_prob, (n,), nats, and ∂ log p / ∂x, (n, dim), nats per unit of each column. For a
            conditional flow also ∂ log p / ∂context, (n, context_dim).

        Raises:
            BundleError: also if an rnvp-deploy without this graph wrote the bundle.

        Example:
            >>> log_prob, grad = flow.log_prob_and_grad(x)            # doctest: +SKIP
        """
        outputs = ("log_prob", "grad_x", *(("grad_context",) if self.context_dim else ()))
        return tuple(self._map("gradient", outputs, "x", x, context))

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
        """The x whose latent is z: (n, dim).

        Args:
            z: (n, dim).
            context: (n, context_dim), for a conditional flow.
            return_log_prob: also return log p(x): (n,), nats.
        """
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
        """Rows ``start`` ... ``start + n - 1`` of the samples of ``seed``.

        Row i of a given seed is always the same row: ``sample(10, seed=7)[4:]`` and ``sample(6,
        seed=7, start=4)`` are equal, on any machine and with any number of threads.

        Args:
            n: number of rows.
            seed: -2**63 ... 2**64 - 1. By default each call takes one from the system's entropy.
            start: number of the first row; ``start + n`` is at most 2**63 - 1.
            temperature: factor of the latents. 1 samples the flow, 0 gives the image of the
                origin.
            context: (n, context_dim), or one row for all samples: (context_dim,) or
                (1, context_dim).
            return_log_prob: also return the log-density of each sample.

        Returns:
            x, (n, dim); with ``return_log_prob`` the pair of x and log_prob, (n,), in nats.

        Raises:
            InputError: an argument is out of its range, or the context does not fit.
        """
        n, start = operator.index(n), operator.index(start)
        if n < 0 or start < 0 or start + n >= 2**63:
            raise InputError(
                f"n is {n} and start {start}: both are at least 0, their sum at most 2**63 - 1"
            )
        bits = signed_seed(fresh_seed() if seed is None else operator.index(seed))
        scale = np.array(self._temperature(temperature), dtype=self._dtype)
        given = None
        if self.context_dim or context is not None:
            given = self._required_context(context, None, n, "samples")
        numbers = np.array(bits, dtype=np.int64)

        def noise(low: int, high: int) -> dict[str, Array]:
            z = normals(bits, start + low, high - low, self.dim, self._dtype)
            return {"z": z * scale}

        def scalars(low: int, high: int) -> dict[str, Array]:
            return {
                "seed": numbers,
                "start": np.array(start + low, dtype=np.int64),
                "count": np.array(high - low, dtype=np.int64),
                "temperature": scale,
            }

        # An engine without uint64 arithmetic gets its noise from here.
        graph, inputs = ("inverse", noise) if self._sampler_is_wrong else ("sampler", scalars)
        outputs = _names("x", return_log_prob)
        if given is None:
            return _one_or_two(self._compute(graph, outputs, n, inputs))
        return _one_or_two(
            self._compute(
                graph,
                outputs,
                n,
                lambda low, high: {**inputs(low, high), "context": given(low, high)},
            )
        )

    def _temperature(self, temperature: float) -> float:
        if not 0 <= temperature <= float(np.finfo(self._dtype).max):
            raise InputError(f"temperature is {temperature}, expected a finite number, 0 or more")
        return temperature

    def _map(
        self, graph: str, outputs: tuple[str, ...], name: str, values: Any, context: Any
    ) -> Sequence[Array]:
        """``outputs`` of ``graph`` for the rows of ``values``, the input called ``name``."""
        rows = rows_of(values, name, self.columns, self._dtype)
        n = len(rows)
        if not self.context_dim and context is None:
            if n <= FEW_ROWS:  # the shortest calls, without what only tiles need
                run = self._graphs.get(graph, outputs, few_rows=True)
                return run({name: rows.block(0, n)}, n)
            return self._compute(graph, outputs, n, lambda low, high: {name: rows.block(low, high)})
        given = self._required_context(context, values, n, f"rows of {name}")
        return self._compute(
            graph,
            outputs,
            n,
            lambda low, high: {name: rows.block(low, high), "context": given(low, high)},
        )

    def _required_context(
        self, context: Any, values: Any, n: int, rows_in_words: str
    ) -> Callable[[int, int], Array]:
        """Blocks of the context of ``n`` rows, from ``context`` or the frame ``values``."""
        if not self.context_dim:
            raise InputError("context was given, but the flow takes none: leave it out")
        if context is None and values is not None and is_frame(values):
            context = values
        if context is None:
            raise InputError(
                f"the flow needs context, (n, {self.context_dim}): "
                f"{', '.join(self.context_columns)}"
            )
        if not is_frame(context) and shape_of(context) == (self.context_dim,):
            context = np.asarray(context)[None]
        rows = rows_of(context, "context", self.context_columns, self._dtype)
        if len(rows) == n:
            return rows.block
        if len(rows) != 1:
            raise InputError(
                f"context has {len(rows)} rows: pass one, or one for each of the {n} "
                f"{rows_in_words}"
            )
        row = rows.block(0, 1)
        return lambda low, high: row.repeat(high - low, axis=0)

    def _compute(
        self,
        graph: str,
        outputs: tuple[str, ...],
        rows: int,
        inputs: Callable[[int, int], dict[str, Array]],
    ) -> Sequence[Array]:
        """``outputs`` of ``graph`` over all rows; ``inputs(low, high)`` are those of one tile."""
        # onnxruntime plans the sampler's memory for the count of its first call, and runs another
        # count without a plan.
        few_rows = rows <= (1 if graph == "sampler" else FEW_ROWS)
        run = self._graphs.get(graph, outputs, few_rows=few_rows)
        tile = self._gradient_tile if graph == "gradient" else self._tile
        if rows <= tile:
            return run(inputs(0, rows), rows)
        results = [np.empty((rows, *self._width(output)), self._dtype) for output in outputs]

        def one_tile(low: int, high: int) -> None:
            for whole, part in zip(results, run(inputs(low, high), high - low), strict=True):
                whole[low:high] = part

        over_tiles(one_tile, rows, tile, self.threads)
        return results

    def _width(self, output: str) -> tuple[int, ...]:
        """The shape of one row of ``output``."""
        if output == "log_prob":
            return ()
        return (self.context_dim if output == "grad_context" else self.dim,)


def _load_again(
    path: Any,
    threads: int,
    engine: str | None,
    providers: tuple[Provider, ...],
    preload: bool = False,
) -> Flow:
    return Flow(path, threads=threads, engine=engine, providers=providers, preload=preload)


def _names(values: str, log_prob: bool) -> tuple[str, ...]:
    return (values, "log_prob") if log_prob else (values,)


def _one_or_two(results: Sequence[Array]) -> Array | tuple[Array, Array]:
    return results[0] if len(results) == 1 else (results[0], results[1])
