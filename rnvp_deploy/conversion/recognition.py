"""Which function is this? Answered by what it does, not by what it is called.

Activations and scale functions reach us as lambdas, bound methods, partials and modules, and a
library changes them between releases under one name. So each is evaluated on a grid in float64
and compared with those that a flow of ours can express; the numbers that it depends on (slopes,
bounds) are read off its values.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from rnvp_deploy import scales
from rnvp_deploy.conversion.precision import exactly
from rnvp_deploy.conversion.refusal import refusal
from rnvp_deploy.networks import ACTIVATIONS, Activation
from rnvp_deploy.scales import Scale

__all__ = ["recognise_activation", "recognise_scale"]

Function = Callable[[Tensor], Tensor]

# Four columns, each in another order: what looks along a row (softmax, norms) is then no match.
_LINE = torch.linspace(-30.0, 30.0, 241, dtype=torch.float64)
_GRID = torch.stack([_LINE.roll(61 * k) for k in range(4)], 1)
_FAR = 1e6


def recognise_activation(function: Function, path: str) -> Activation:
    """The activation that computes what ``function`` does; refused if there is none."""
    values = _evaluate(function, _GRID, path)
    at = _reader(function)
    for candidate in _activations(at):
        if _same(ACTIVATIONS[candidate.name](candidate.parameter, _GRID), values):
            return candidate
    raise refusal(
        path,
        f"{_name(function)} is no activation that a flow of ours has; supported are "
        f"{', '.join(ACTIVATIONS)}",
    )


def recognise_scale(function: Function, path: str) -> Scale:
    """The scale function σ(u) that computes what ``function`` does; refused if there is none.

    ``function`` gives the log-scale: (n, 4) → (n, 4).
    """
    values = _evaluate(function, _GRID, path)
    for candidate in _scales(_reader(function)):
        if _same(candidate(_GRID), values):
            return candidate
    raise refusal(
        path,
        "its scale is no function of the network's output that a flow of ours has; supported "
        f"are {', '.join(name for name in scales.__all__ if name != 'Scale')} "
        "(rnvp_deploy.scales)",
    )


def _activations(at: Callable[[float], float]) -> Iterator[Activation]:
    read_off = {
        "leaky_relu": lambda: -at(-1.0),
        "elu": lambda: at(-1.0) / math.expm1(-1.0),
        "multiply": lambda: at(1.0),
        "hard_tanh": lambda: max(at(_FAR), 0.0),
    }
    for name in ACTIVATIONS:
        yield Activation(name, _tidy(read_off[name]()) if name in read_off else 0.0)


def _scales(at: Callable[[float], float]) -> Iterator[Scale]:
    yield scales.Exp()
    for sign in (1.0, -1.0):
        yield scales.LogSigmoid(sign)
        yield scales.LogSigmoid(sign, shift=0.0)
    yield scales.LogSigmoidPlus()
    yield scales.LogSoftplus()
    low, high = _tidy(at(-_FAR)), _tidy(at(_FAR))
    if not (low < 0 < high and math.isfinite(high - low)):
        return
    yield scales.Clip(low, high)
    yield scales.Tanh(high)
    yield scales.Tanh(high, width=high)
    yield scales.Sigmoid(high)
    at_one = at(1.0)
    yield scales.Atan(_tidy(at_one / (0.636 * math.pi / 4)))
    for slope in (1e-3, 1e-4):
        yield scales.SoftClip(slope)
    if 0.01 < at_one < 0.99:  # σ(1) = 1 / (1 + 1/|log slope|)
        yield scales.SoftClip(_tidy(math.exp(-at_one / (1 - at_one))))


def _evaluate(function: Function, grid: Tensor, path: str) -> Tensor:
    try:
        with exactly():
            values = function(grid.clone())
    except Exception as error:  # whatever a user's function may raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise refusal(
            path, f"{_name(function)} could not be evaluated elementwise: {reason}"
        ) from None
    if not isinstance(values, Tensor) or values.shape != grid.shape:
        raise refusal(path, f"{_name(function)} does not work elementwise")
    return values


def _reader(function: Function) -> Callable[[float], float]:
    def at(u: float) -> float:
        with exactly():
            return float(function(torch.full((1, 4), u, dtype=torch.float64))[0, 0])

    return at


def _same(ours: Tensor, theirs: Tensor) -> bool:
    # torch's own softplus drops up to 2e-9 beyond its threshold of 20.
    return torch.allclose(ours, theirs, rtol=1e-9, atol=1e-8, equal_nan=True)


def _tidy(number: float) -> float:
    """``number``, or the short decimal that it is up to its last bits."""
    short = float(f"{number:.12g}")
    return short if math.isclose(short, number, rel_tol=8e-16) else number


def _name(function: object) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
