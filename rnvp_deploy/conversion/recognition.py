"""Recognition of activations and scale functions by their values.

They arrive as lambdas, bound methods, partials and modules, and libraries change them between
releases without changing the name. Each is evaluated on a grid in float64 and compared with the
functions that a flow can express. Parameters (slopes, bounds) are read from the function's values.
The grid is dense as far as exp is finite in float64, so that no clamp lies beyond it, and goes on
to the largest numbers that the proof compares.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from rnvp_deploy.conversion.float64 import in_float64
from rnvp_deploy.conversion.refusal import describe_error, refusal
from rnvp_deploy.networks import ACTIVATIONS, Activation
from rnvp_deploy.scales import SCALES, Scale, tidy

__all__ = ["recognisable_scales", "recognise_activation", "recognise_scale"]

Function = Callable[[Tensor], Tensor]

_REACH = 700.0
"""exp(u) and exp(-u) are finite and have all their digits up to here in float64."""

_BEYOND = torch.logspace(math.log10(_REACH), 30.0, 120, dtype=torch.float64)[1:]
_DENSE = torch.linspace(-_REACH, _REACH, 5601, dtype=torch.float64)
_LINE = torch.cat([-_BEYOND, _DENSE, _BEYOND])
# Four columns in different orders: a function that mixes a row's columns (softmax, norms) differs.
_GRID = torch.stack([_LINE.roll(len(_LINE) // 4 * k) for k in range(4)], 1)
_FAR = 1e6


def recognise_activation(function: Function, path: str) -> Activation:
    """The activation that ``function`` computes.

    Args:
        function: h (n, 4) → (n, 4).
        path: of the layer, for the error.

    Raises:
        ConversionError: no activation computes it.
    """
    values = _evaluate(function, _GRID, path)
    for candidate in _activations(_value_at(function)):
        if _equal(ACTIVATIONS[candidate.name](candidate.parameter, _GRID), values):
            return candidate
    raise refusal(
        path,
        f"{_name(function)} is not an activation that a flow can have; supported are "
        f"{', '.join(ACTIVATIONS)}",
    )


def recognise_scale(function: Function, path: str) -> Scale:
    """The scale function σ(u) that ``function`` computes.

    Args:
        function: u (n, 4) → log-scale (n, 4).
        path: of the layer, for the error.

    Raises:
        ConversionError: no scale function computes it.
    """
    values = _evaluate(function, _GRID, path)
    # What exp makes infinite or 0 is one number. A quotient of two infinities has no value to keep.
    ignored = values.isnan() & (_GRID.abs() > _REACH)
    at = _value_at(function)
    for kind in SCALES.values():
        for candidate in kind.candidates(at):
            sigma = torch.where(ignored, values, candidate(_GRID))
            if _equal(sigma.clamp(-_REACH, _REACH), values.clamp(-_REACH, _REACH)):
                return candidate
    supported = ", ".join(kind.__name__ for kind in recognisable_scales())
    raise refusal(
        path,
        "its scale is not a function of the network's output that a flow can have; supported are "
        f"{supported} (see rnvp_deploy.scales)",
    )


def recognisable_scales() -> list[type[Scale]]:
    """The kinds of scale function that ``recognise_scale`` can return."""
    nothing = Scale.candidates.__func__  # type: ignore[attr-defined]
    return [
        kind
        for kind in SCALES.values()
        if kind.candidates.__func__ is not nothing  # type: ignore[attr-defined]
    ]


def _activations(at: Callable[[float], float]) -> Iterator[Activation]:
    parameters = {
        "leaky_relu": lambda: -at(-1.0),
        "elu": lambda: at(-1.0) / math.expm1(-1.0),
        "multiply": lambda: at(1.0),
        "hard_tanh": lambda: max(at(_FAR), 0.0),
    }
    for name in ACTIVATIONS:
        yield Activation(name, tidy(parameters[name]()) if name in parameters else 0.0)


def _evaluate(function: Function, grid: Tensor, path: str) -> Tensor:
    try:
        with in_float64():
            values = function(grid.clone())
    except Exception as error:  # a user's function may raise anything
        raise refusal(
            path, f"{_name(function)} could not be evaluated elementwise: {describe_error(error)}"
        ) from None
    if not isinstance(values, Tensor) or values.shape != grid.shape:
        raise refusal(path, f"{_name(function)} does not work elementwise")
    return values


def _value_at(function: Function) -> Callable[[float], float]:
    def at(u: float) -> float:
        with in_float64():
            return float(function(torch.full((1, 4), u, dtype=torch.float64))[0, 0])

    return at


def _equal(candidate: Tensor, values: Tensor) -> bool:
    # torch's own softplus drops up to 2e-9 beyond its threshold of 20. The last bits of u decide on
    # a sine of it.
    error = (candidate - values).abs()
    allowed = 1e-8 + 1e-9 * values.abs() + 1e-15 * _GRID.abs()
    same = (candidate == values) | (candidate.isnan() & values.isnan())
    return bool((same | (error <= allowed)).all())


def _name(function: object) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
