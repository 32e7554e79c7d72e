"""A module or an object that holds a flow: does it do something besides?

A holder may scale the data, embed the context, or add a Jacobian of its own. Converting the flow
alone would leave that out. Its ``log_prob`` or ``forward`` is compared with the flow's where it
can be run; otherwise its other parts decide.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnvp_deploy.conversion.finding import FoundFlow, parts_of, unwrap
from rnvp_deploy.conversion.float64 import float64_copy, in_float64
from rnvp_deploy.conversion.refusal import refusal, type_names
from rnvp_deploy.flow import RNVP

__all__ = ["refuse_other_steps"]

ROWS = 128
TOLERANCE = 1e-6
"""The largest difference of log_prob, relative to its size, between a holder and its flow."""


def refuse_other_steps(found: FoundFlow, flow: RNVP) -> None:
    """Check that the holder of ``found`` computes what ``flow`` does, its conversion in float64.

    Raises:
        ConversionError: it does not, or it has other parts and nothing that can be compared.
    """
    if found.holder is None:
        return
    difference = _difference(found.holder, flow)
    if difference is not None and difference <= TOLERANCE:
        return
    parts = ", ".join(_other_parts(found.holder, found))
    if difference is None and not parts:
        return
    kind = type(found.holder).__name__
    leaves_out = f"would leave out {parts}" if parts else "would leave out a step"
    compared = (
        f"the {kind} has no log_prob(x) to compare with"
        if difference is None
        else f"the log_prob of the {kind} differs from the flow's by up to {difference:.3g} nats"
    )
    raise refusal(
        "",
        f"a {kind} that holds a flow at {found.path!r}: converting that alone {leaves_out}; "
        f"{compared}. If the flow alone is meant, give {found.path!r} itself",
    )


@torch.no_grad()
def _difference(holder: Any, flow: RNVP) -> float | None:
    """By how many nats the holder's log_prob differs from the flow's; None if it has none.

    Differences within TOLERANCE of a row's size count as 0.
    """
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(ROWS, flow.dim, generator=generator, dtype=torch.float64)
    c = None
    if flow.context_dim:
        c = torch.randn(ROWS, flow.context_dim, generator=generator, dtype=torch.float64)
    x = flow.inverse(z, c)
    latent, log_pz, log_det = flow(x, c)
    log_prob = log_pz + log_det
    try:
        copied = float64_copy(holder) if isinstance(holder, nn.Module) else copy.deepcopy(holder)
    except Exception:  # a trainer may hold what cannot be copied: files, processes
        return None
    arguments = (x,) if c is None else (x, c)
    for name, known in (
        ("log_prob", (log_prob,)),
        ("forward", (log_prob, -log_prob, log_prob.mean(), -log_prob.mean(), latent)),
    ):
        values = _call(copied, name, arguments)
        if values is None:
            continue
        alike = [one for one in known if one.shape == values.shape]
        differences = [_largest_difference(values, one) for one in alike]
        if differences and (name == "log_prob" or min(differences) <= TOLERANCE):
            return min(differences)
    return None


def _call(holder: Any, name: str, arguments: tuple[Tensor, ...]) -> Tensor | None:
    """The tensor that the user's method returns, the first of several; None if it fails."""
    try:
        with in_float64():
            values = getattr(holder, name)(*arguments)
    except Exception:  # it may take a batch, a loss, anything
        return None
    first = values[0] if isinstance(values, tuple) and values else values
    return first if isinstance(first, Tensor) else None


def _largest_difference(a: Tensor, b: Tensor) -> float:
    difference = (a - b).abs()
    return float(torch.where(difference <= TOLERANCE * (1 + b.abs()), 0.0, difference).max())


def _other_parts(thing: Any, found: FoundFlow, path: str = "") -> Iterator[str]:
    """The parts of ``thing`` besides the flow that are modules or hold numbers."""
    of_flow = {id(part) for part in (*found.flow.modules(), *found.flow.parameters())}
    for name, value in parts_of(thing):
        child = f"{path}.{name}" if path else name
        inner, _ = unwrap(value)
        if id(value) in of_flow or id(inner) in of_flow:
            continue
        if found.path.startswith(f"{child}."):
            yield from _other_parts(inner, found, child)
        elif _holds_numbers(inner):
            yield f"{child!r} ({type(inner).__name__})"


def _holds_numbers(value: Any, depth: int = 2) -> bool:
    """Whether it is a module, an array, or an object that has some, such as a scaler."""
    if isinstance(value, nn.Module):
        return not _is_loss(value)
    if isinstance(value, Tensor | np.ndarray):
        return True
    return depth > 0 and any(_holds_numbers(part, depth - 1) for _, part in parts_of(value))


def _is_loss(module: nn.Module) -> bool:
    kinds = type_names(module)
    return "torch._Loss" in kinds or any(kind.startswith("torchmetrics.") for kind in kinds)
