"""Recognition of activations and scale functions by their values.

They arrive as lambdas, bound methods, partials and modules, and libraries change them between
releases without changing the name. Each is evaluated on a grid in float64 and compared with the
functions that a flow can express. Parameters (slopes, bounds) are read from the function's values.
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

# Four columns in different orders: a function that mixes a row's columns (softmax, norms) differs.
_LINE = torch.linspace(-30.0, 30.0, 241, dtype=torch.float64)
_GRID = torch.stack([_LINE.roll(61 * k) for k in range(4)], 1)
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
    at = _value_at(function)
    for kind in SCALES.values():
        for candidate in kind.candidates(at):
            if _equal(candidate(_GRID), values):
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
    # torch's own softplus drops up to 2e-9 beyond its threshold of 20.
    return torch.allclose(candidate, values, rtol=1e-9, atol=1e-8, equal_nan=True)


def _name(function: object) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
