"""The time of the exported graphs on the machine that exports, beside eager PyTorch.

It is the fastest of a few calls, since other programs can only add to a time. It shows which order
of magnitude to expect. Comparisons with other software are in ``benchmarks/``.
"""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from rnvp_deploy import RNVP
from rnvp_exporters.proof.running import GraphFunction

__all__ = ["Latency", "Machine", "measure_latency", "this_machine"]

BATCHES = (1, 1000)
_RUNS, _MOST_SECONDS = 15, 0.15


@dataclass(frozen=True)
class Latency:
    """The time of one call.

    Attributes:
        what: ``log_prob`` or ``sample``.
        rows: Rows in the call.
        exported: Seconds in onnxruntime.
        eager: Seconds in eager PyTorch.
    """

    what: str
    rows: int
    exported: float
    eager: float


@dataclass(frozen=True)
class Machine:
    """The machine on which a time was measured."""

    processor: str
    system: str


def this_machine() -> Machine:
    """The processor and the operating system, as far as they are known."""
    processor = platform.processor() or platform.machine() or "unknown processor"
    return Machine(processor, platform.system() or "unknown system")


@torch.no_grad()
def measure_latency(
    flow: RNVP, graphs: Mapping[str, GraphFunction], dtype: str
) -> tuple[Latency, ...]:
    """Time log_prob and sample for 1 row and for 1,000.

    Args:
        flow: In eval mode; measured in its own dtype.
        graphs: ``density`` and ``sampler``, as functions of named inputs.
        dtype: Of the graphs.
    """
    real = np.dtype(dtype)
    found = []
    for rows in BATCHES:
        context = _context(flow, rows)
        x = flow.sample(rows, seed=1, context=context)
        given = {} if context is None else {"context": context.numpy().astype(real)}
        density = {"x": x.numpy().astype(real), **given}
        sampler = _sampler_inputs(rows, real) | given
        found += [
            Latency(
                "log_prob",
                rows,
                *_fastest(partial(graphs["density"], density), partial(flow.log_prob, x, context)),
            ),
            Latency(
                "sample",
                rows,
                *_fastest(
                    partial(graphs["sampler"], sampler),
                    partial(flow.sample, rows, seed=1, context=context),
                ),
            ),
        ]
    return tuple(sorted(found, key=lambda latency: latency.what))


def _context(flow: RNVP, rows: int) -> torch.Tensor | None:
    if not flow.context_dim:
        return None
    context = torch.zeros(rows, flow.context_dim, dtype=flow.dtype)
    if flow.context_scaling is not None:
        context = flow.context_scaling.inverse(context)
    return context.contiguous()


def _sampler_inputs(rows: int, real: DTypeLike) -> dict[str, NDArray[np.generic]]:
    integers = {"seed": 1, "start": 0, "count": rows}
    return {name: np.asarray(value, np.int64) for name, value in integers.items()} | {
        "temperature": np.asarray(1, real)
    }


def _fastest(*calls: Callable[[], object]) -> list[float]:
    """The fewest seconds of each call, of up to 15 in turns, after one that is not counted."""
    for call in calls:
        call()
    times: list[list[float]] = []
    began = time.perf_counter()
    while len(times) < _RUNS and (len(times) < 3 or time.perf_counter() - began < _MOST_SECONDS):
        times.append([_seconds(call) for call in calls])
    return [min(column) for column in zip(*times, strict=True)]


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
