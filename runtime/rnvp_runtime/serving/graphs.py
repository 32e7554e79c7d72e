"""The graphs of a bundle as the protocol's models: what each takes and gives, and its computation.

density, inverse and gradient take rows. Requests for them may be computed together. sampler takes
scalars, and each of its requests is computed alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.flow import Flow
from rnvp_runtime.serving.protocol import DATATYPES, ProtocolError, Request

__all__ = ["SCALARS", "compute_rows", "metadata", "rows_of_request", "sample", "wanted"]

Array = NDArray[Any]

SCALARS = ("seed", "start", "count", "temperature")
"""Inputs of sampler. Only count has no default: a fresh seed, row 0 and temperature 1."""

_MOST_NUMBERS = 1 << 26  # of the samples in one answer: 256 MiB in float32
_MULTIPLE = 64  # of the rows of a call, as in rnvp_runtime.padded_rows
_NAMES = {numpy: name for name, numpy in DATATYPES.items()}


def metadata(flow: Flow, model: str) -> dict[str, Any]:
    """The protocol's description of one model."""
    graph = flow.manifest.graphs[model]
    inputs = [
        {"name": s.name, "datatype": _NAMES[s.dtype], "shape": _shape(s.shape)}
        for s in graph.inputs
    ]
    outputs = [
        {"name": s.name, "datatype": _NAMES[s.dtype], "shape": _shape(s.shape)}
        for s in graph.outputs
    ]
    return {
        "name": model,
        "versions": [flow.manifest.id],
        "platform": "rnvp_deploy_flow",
        "inputs": inputs,
        "outputs": outputs,
    }


def _shape(shape: Sequence[Any]) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in shape] or [1]


def wanted(flow: Flow, model: str, request: Request) -> tuple[str, ...]:
    """The outputs that are asked for, in the order of the graph.

    Raises:
        ProtocolError: there is no such output.
    """
    known = [spec.name for spec in flow.manifest.graphs[model].outputs]
    if request.outputs is None:
        return tuple(known)
    if unknown := [name for name in request.outputs if name not in known]:
        raise ProtocolError(f"{model} has no output {unknown[0]!r}, only {', '.join(known)}")
    return tuple(name for name in known if name in request.outputs)


def rows_of_request(flow: Flow, model: str, request: Request, most: int) -> dict[str, Array]:
    """The inputs of a graph that takes rows, checked, in the flow's dtype.

    Raises:
        ProtocolError: an input is missing or unknown, has another shape, too many rows, or a number
            that is not finite.
    """
    specs = {spec.name: spec.shape[-1] for spec in flow.manifest.graphs[model].inputs}
    _check_names(model, request, specs, required=specs)
    rows = {name: _rows(request.inputs[name], name, int(w), most) for name, w in specs.items()}
    counts = {len(array) for array in rows.values()}
    if len(counts) > 1:
        raise ProtocolError("x and context have different numbers of rows")
    with np.errstate(over="ignore"):
        return {name: array.astype(flow.manifest.dtype) for name, array in rows.items()}


def compute_rows(
    flow: Flow, model: str, outputs: Sequence[str], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """``outputs`` of density, inverse or gradient; those of a row do not depend on other rows."""
    values, context = inputs["z" if model == "inverse" else "x"], inputs.get("context")
    n = len(values)
    values, context = _padded(values), None if context is None else _padded(context)
    found: dict[str, Array] = {}
    if model == "gradient":
        names = ("log_prob", "grad_x", "grad_context")
        found = dict(zip(names, flow.log_prob_and_grad(values, context), strict=False))
    elif model == "density" and tuple(outputs) == ("log_prob",):
        found["log_prob"] = flow.log_prob(values, context)
    else:
        method, name = (flow.inverse, "x") if model == "inverse" else (flow.forward, "z")
        if "log_prob" in outputs:
            found[name], found["log_prob"] = method(values, context, return_log_prob=True)
        else:
            found[name] = method(values, context)
    return {name: found[name][:n] for name in outputs}


def sample(flow: Flow, request: Request, outputs: Sequence[str], most: int) -> dict[str, Array]:
    """``outputs`` of sampler.

    Raises:
        ProtocolError: an input is missing, unknown or out of range, or too many rows are asked for.
    """
    names = [*SCALARS, "context"] if flow.context_dim else list(SCALARS)
    required = ["count", "context"] if flow.context_dim else ["count"]
    _check_names("sampler", request, names, required=required)
    scalars = {
        name: _scalar(request.inputs[name], name) for name in SCALARS if name in request.inputs
    }
    count, most = scalars["count"], min(most, _MOST_NUMBERS // flow.dim)
    if not 0 <= count <= most:
        raise ProtocolError(f"count is {count}, expected 0 to {most}", 413 if count > most else 400)
    options: dict[str, Any] = {name: scalars[name] for name in scalars if name != "count"}
    if flow.context_dim:
        options["context"] = _rows(request.inputs["context"], "context", flow.context_dim, most)
    if "log_prob" not in outputs:
        return {"x": flow.sample(count, **options)}
    x, log_prob = flow.sample(count, return_log_prob=True, **options)
    found = {"x": x, "log_prob": log_prob}
    return {name: found[name] for name in outputs}


def _check_names(model: str, request: Request, known: Any, *, required: Any) -> None:
    if unknown := [name for name in request.inputs if name not in known]:
        raise ProtocolError(f"{model} has no input {unknown[0]!r}, only {', '.join(known)}")
    if missing := [name for name in required if name not in request.inputs]:
        raise ProtocolError(f"{model} needs the input {missing[0]!r}")


def _rows(array: Array, name: str, width: int, most: int) -> Array:
    if array.ndim != 2 or array.shape[1] != width:
        raise ProtocolError(f"{name} has shape {list(array.shape)}, expected [n, {width}]")
    if len(array) > most:
        raise ProtocolError(f"{name} has {len(array):,} rows, at most {most:,} are taken", 413)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise ProtocolError(f"{name} has NaN or infinity in row {bad[0]}, counted from 0")
    return array


def _scalar(array: Array, name: str) -> Any:
    if array.size != 1 or array.ndim > 1:
        raise ProtocolError(f"{name} has shape {list(array.shape)}, expected [1]")
    if name != "temperature" and array.dtype.kind not in "iu":
        raise ProtocolError(f"{name} is not an integer")
    return array.item()


def _padded(rows: Array) -> Array:
    missing = -len(rows) % _MULTIPLE
    return np.concatenate([rows, rows[-1:].repeat(missing, axis=0)]) if missing else rows
