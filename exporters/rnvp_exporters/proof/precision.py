"""Whether the flow is accurate enough in the bundle's dtype: absolute errors, each with a limit.

Parity asks whether a graph is the flow, relative to eager's own error. A flow whose columns are far
from 0 compared with their spread, or whose samples overflow, has a large error in float32 with any
engine. This module therefore compares the exported graphs with the eager flow in float64 on inputs
that are *not* representable in the graph's dtype, in standard deviations and nats.
"""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVP
from rnvp_deploy.transforms import Transform
from rnvp_exporters.errors import PrecisionError
from rnvp_exporters.proof.eager import Arrays
from rnvp_exporters.proof.probes import column_scale, spread
from rnvp_exporters.proof.running import GraphFunction
from rnvp_runtime.bundle.manifest import Precision, Spread
from rnvp_runtime.stream import normals

__all__ = ["LIMITS", "check_precision", "measure_precision", "with_sensitivity"]

ROWS, SEED = 4096, 20170517
LIMITS = {"log_prob": 0.05, "x": 0.01, "round_trip": 0.01, "non_finite": 0.001}
"""The largest errors that are accepted: log_prob in nats, x and the round trip x → z → x in
standard deviations, all at the 99th percentile, and the share of samples that are not finite."""


@torch.no_grad()
def measure_precision(
    flow: RNVP, dtype: str, density: GraphFunction, inverse: GraphFunction
) -> Precision:
    """Run the density and inverse graphs on 4,096 rows that the flow in float64 generates."""
    truth = copy.deepcopy(flow).double()
    z = normals(SEED, 0, ROWS, flow.dim, np.float64)
    context, given = _context(truth, dtype)
    x = truth.inverse(torch.from_numpy(z), context).numpy()
    log_prob = truth.log_prob(torch.from_numpy(x), context).numpy()
    scale = column_scale(x)

    samples = _run(inverse, {"z": z, **given}, dtype)["x"]
    outputs = _run(density, {"x": x, **given}, dtype)
    back = _run(inverse, {"z": outputs["z"], **given}, dtype)["x"]
    finite = np.isfinite(samples).all(1) & np.isfinite(x).all(1)
    broken = ~np.isfinite(samples) | ~np.isfinite(x)
    usable = finite & np.isfinite(log_prob)
    measured = Precision(
        rows=ROWS,
        non_finite=float(1 - finite.mean()),
        non_finite_columns=tuple(np.array(flow.columns)[broken.any(0)].tolist()),
        distinct=_distinct(samples[finite][:, ~_integer_columns(flow)]),
        log_prob=_spread(outputs["log_prob"], log_prob, usable),
        x=_spread(samples, x, usable, scale),
        round_trip=_spread(back, x, usable, scale),
        sensitivity=None,
        accepted=False,
        faults=(),
    )
    return replace(measured, faults=tuple(_faults(flow, dtype, measured, x, scale)))


def with_sensitivity(precision: Precision, sensitivity: float) -> Precision:
    """Add the smallest ``rnvp_exporters.proof.vectors.sensitivity`` of all graphs."""
    if np.isinf(sensitivity):
        return precision
    faults = precision.faults
    if sensitivity < 1:
        faults = (
            *faults,
            "its rounding error is so large that a graph with every weight off by 0.1 % "
            "could not be "
            "told from the right one",
        )
    return replace(precision, sensitivity=sensitivity, faults=faults)


def check_precision(precision: Precision, dtype: str, *, accept_loss: bool) -> Precision:
    """Refuse a flow that is not good enough in its dtype, or record that the loss was accepted.

    Raises:
        PrecisionError: says what is wrong, in which columns, and what to do.
    """
    if not precision.faults:
        return precision
    if accept_loss and precision.non_finite < 0.5:
        return replace(precision, accepted=True)
    way_out = "export with --dtype float64, or " if dtype == "float32" else ""
    raise PrecisionError(
        f"this flow is not usable in {dtype}: {'; '.join(precision.faults)}. Train again with "
        f"columns that suit it, {way_out}pass --accept-loss to export it as it is; nothing was "
        "published"
    )


def _context(flow: RNVP, dtype: str) -> tuple[torch.Tensor | None, Arrays]:
    """Contexts as the trained ones, representable in ``dtype``."""
    if not flow.context_dim:
        return None, {}
    context = torch.from_numpy(normals(SEED + 1, 0, ROWS, flow.context_dim, np.float64))
    if flow.context_scaling is not None:
        context = flow.context_scaling.inverse(context)
    rounded = context.numpy().astype(dtype).astype(np.float64)
    return torch.from_numpy(rounded), {"context": rounded}


def _run(graph: GraphFunction, inputs: Arrays, dtype: str) -> Arrays:
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = graph({name: np.ascontiguousarray(v, dtype) for name, v in inputs.items()})
    return {name: np.asarray(value, np.float64) for name, value in outputs.items()}


def _spread(
    got: NDArray[Any], truth: NDArray[Any], usable: NDArray[np.bool_], scale: Any = 1.0
) -> Spread:
    """The spread of the largest errors of the usable rows; an infinite one is the largest float."""
    with np.errstate(invalid="ignore", over="ignore"):
        rows = (np.abs(got - truth) / scale).reshape(len(got), -1).max(1)[usable]
    return spread(np.where(np.isfinite(rows), rows, np.finfo(np.float64).max))


def _distinct(samples: NDArray[np.float64]) -> float:
    """The share of different values in the column with the fewest; 1 without columns."""
    if not len(samples):
        return 0.0
    return min((len(np.unique(column)) / len(samples) for column in samples.T), default=1.0)


def _integer_columns(flow: RNVP) -> NDArray[np.bool_]:
    """(d,): the columns whose samples are rounded, and so have few values in any dtype."""
    maps = flow.elementwise
    return np.zeros(flow.dim, bool) if maps is None else np.asarray(maps.is_integer.numpy())


def _faults(
    flow: RNVP, dtype: str, found: Precision, x: NDArray[np.float64], scale: NDArray[np.float64]
) -> list[str]:
    faults = []
    if found.non_finite > LIMITS["non_finite"]:
        where = _first_overflow(flow, dtype)
        faults.append(
            f"{found.non_finite:.2%} of its samples are not finite (limit "
            f"{LIMITS['non_finite']:.1%}), in {', '.join(found.non_finite_columns)}{where}"
        )
    coarse = _coarse_columns(flow, dtype, x, scale)
    for name, unit in (("log_prob", "nats"), ("x", "deviations"), ("round_trip", "deviations")):
        error, limit = getattr(found, name).p99, LIMITS[name]
        if error > limit:
            what = {"x": "samples are", "round_trip": "x → z → x is"}.get(name, f"{name} is")
            faults.append(
                f"{what} off by {error:.2g} {unit} at the 99th percentile (limit {limit})"
            )
    if faults and coarse:
        faults.append(coarse)
    return faults


def _coarse_columns(
    flow: RNVP, dtype: str, x: NDArray[np.float64], scale: NDArray[np.float64]
) -> str:
    """A sentence that names the columns whose values the dtype cannot distinguish, or nothing."""
    with np.errstate(over="ignore", invalid="ignore"):
        middle = np.median(x, axis=0)
        step = np.abs(np.spacing(middle.astype(dtype))).astype(np.float64)
        coarse = np.flatnonzero(step > 0.005 * scale)
    named = [
        f"{flow.columns[j]} lies around {middle[j]:.4g} with a standard deviation of "
        f"{scale[j]:.2g}, "
        f"where {dtype} has steps of {step[j]:.2g}"
        for j in coarse[:3]
    ]
    more = f" and {len(coarse) - 3} more columns" if len(coarse) > 3 else ""
    return f"{', '.join(named)}{more}" if named else ""


@torch.no_grad()
def _first_overflow(flow: RNVP, dtype: str) -> str:
    """Which transform, in the order of the inverse, first gives a number that is not finite."""
    flow = copy.deepcopy(flow).to(getattr(torch, dtype))
    x = torch.from_numpy(normals(SEED, 0, ROWS, flow.dim, np.float64)).to(flow.dtype)
    context = _context(copy.deepcopy(flow).double(), dtype)[0]
    scaled = flow.standardised(None if context is None else context.to(flow.dtype))
    for i, transform in reversed(list(enumerate(flow.transforms))):
        assert isinstance(transform, Transform)
        x = transform.inverse(x, scaled)
        if not torch.isfinite(x).all():
            return f"; the first to overflow is transforms.{i}, a {type(transform).__name__}"
    return ""
