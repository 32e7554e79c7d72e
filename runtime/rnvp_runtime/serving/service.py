"""The flow that is served: requests answered within limits, and the bundle replaced meanwhile."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rnvp_runtime.errors import BundleError, InputError
from rnvp_runtime.flow import Flow, load
from rnvp_runtime.serving.batching import Batcher
from rnvp_runtime.serving.graphs import compute_rows, rows_of_request, sample, wanted
from rnvp_runtime.serving.metrics import Metrics
from rnvp_runtime.serving.protocol import (
    Answer,
    ProtocolError,
    encode_answer,
    parse_request,
)

__all__ = ["Limits", "Service"]

_SMALL = 1 << 16  # bytes or numbers that are parsed and written without another thread


@dataclass(frozen=True)
class Limits:
    """The limits of a request. A larger one is refused with a 4xx or 503."""

    body_bytes: int = 64 << 20
    rows: int = 1_000_000  # of one request
    waiting_rows: int = 4_000_000  # of all requests of a model that wait
    batch_rows: int = 65_536
    read_seconds: float = 30.0  # for the head of a request, and for its body
    connections: int = 1000


class _Opened:
    """One bundle, with the requests that are gathered for it."""

    def __init__(self, flow: Flow, executor: ThreadPoolExecutor, limits: Limits, metrics: Metrics):
        self.flow = flow
        self._executor, self._limits, self._metrics = executor, limits, metrics
        self._batchers: dict[tuple[str, tuple[str, ...]], Batcher] = {}

    def batcher(self, model: str, outputs: tuple[str, ...]) -> Batcher:
        """The batcher for these outputs: each set of outputs is a computation of its own."""
        if (model, outputs) not in self._batchers:
            self._batchers[model, outputs] = Batcher(
                partial(compute_rows, self.flow, model, outputs),
                self._executor,
                most_rows=self._limits.batch_rows,
                most_waiting=self._limits.waiting_rows,
                observe=partial(self._metrics.batch, model),
            )
        return self._batchers[model, outputs]


class Service:
    """Answers infer requests for the bundle at a path.

    Attributes:
        limits: of requests.
        metrics: of what was done.
        ready: whether requests are taken; false while the server stops.
    """

    def __init__(self, bundle: Path, *, threads: int = 1, limits: Limits | None = None) -> None:
        self.limits, self.metrics = limits or Limits(), Metrics()
        self.ready = True
        self._bundle, self._threads = bundle, threads
        self._executor = ThreadPoolExecutor(2, "rnvp-serve")
        self._current = self._open()

    @property
    def flow(self) -> Flow:
        """The flow that new requests get."""
        return self._current.flow

    def swap(self) -> bool:
        """Open the bundle that is at the path now. Requests that have begun keep the one before.

        Returns:
            Whether it is another one.

        Raises:
            BundleError: it is damaged, or takes or gives other columns. The one before stays.
        """
        opened = self._open()
        old, new = self.flow.manifest, opened.flow.manifest
        if _interface(new) != _interface(old):
            raise BundleError(
                f"{self._bundle} has other columns, graphs or dtype than the bundle that is served"
            )
        if new == old:
            return False
        self._current = opened
        self.metrics.swapped()
        return True

    def _open(self) -> _Opened:
        flow = load(self._bundle, threads=self._threads, preload=True)
        for model in flow.manifest.graphs:  # a graph that cannot run is found now
            outputs = tuple(spec.name for spec in flow.manifest.graphs[model].outputs)
            context = np.zeros((1, flow.context_dim)) if flow.context_dim else None
            if model == "sampler":
                flow.sample(1, seed=0, context=context)
                continue
            inputs = {"z" if model == "inverse" else "x": np.zeros((1, flow.dim))}
            compute_rows(
                flow, model, outputs, inputs if context is None else {**inputs, "context": context}
            )
        return _Opened(flow, self._executor, self.limits, self.metrics)

    async def infer(
        self, model: str, version: str | None, body: bytes, json_bytes: str | None
    ) -> tuple[Answer, int]:
        """The answer to one request, and its number of rows.

        Raises:
            ProtocolError: it cannot be answered.
        """
        opened = self._current
        self.check_model(model, version)
        loop = asyncio.get_running_loop()
        if len(body) > _SMALL:
            request = await loop.run_in_executor(None, parse_request, body, json_bytes)
        else:
            request = parse_request(body, json_bytes)
        outputs = wanted(opened.flow, model, request)
        results: Mapping[str, Any]
        try:
            if model == "sampler":
                job = partial(sample, opened.flow, request, outputs, self.limits.rows)
                results = await loop.run_in_executor(self._executor, job)
            else:
                inputs = rows_of_request(opened.flow, model, request, self.limits.rows)
                rows = len(next(iter(inputs.values())))
                results = await opened.batcher(model, outputs).submit(inputs, rows)
        except InputError as error:
            raise ProtocolError(str(error)) from None
        rows = len(next(iter(results.values())))
        encode = partial(encode_answer, model, opened.flow.manifest.id, request, results)
        if sum(array.size for array in results.values()) > _SMALL:
            return await loop.run_in_executor(None, encode), rows
        return encode(), rows

    def check_model(self, model: str, version: str | None) -> None:
        """Refuse a model or a version that is not served.

        Raises:
            ProtocolError: names those that are.
        """
        manifest = self.flow.manifest
        if model not in manifest.graphs:
            served = ", ".join(manifest.graphs)
            raise ProtocolError(f"there is no model {model[:40]!r}, only {served}", 404)
        if version is not None and version != manifest.id:
            raise ProtocolError(f"{model} has the version {manifest.id} only", 404)


def _interface(manifest: Any) -> tuple[object, ...]:
    graphs = {name: (graph.inputs, graph.outputs) for name, graph in manifest.graphs.items()}
    return manifest.columns, manifest.context_columns, manifest.dtype, graphs
