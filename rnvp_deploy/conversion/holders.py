"""Whether a module or an object that holds a flow does more than the flow.

A holder may scale the data, embed the context, or add a Jacobian of its own. Converting the flow
alone would leave that out. Its ``log_prob`` or ``forward`` is compared with the flow's where it
can be run; otherwise its other parts decide.
"""

import copy
import warnings
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
    """Check that the holders of ``found`` compute the same as ``flow``, its float64 conversion.

    If they do, a warning names the other parts of the holders.

    Raises:
        ConversionError: they do not, or they have other parts and nothing that can be compared.
    """
    if not found.holders:
        return
    kind, at = type(found.holders[0]).__name__, repr(found.path)
    parts = ", ".join(_other_parts(found.holders[0], found))
    compared = [
        (type(holder).__name__, difference)
        for holder in found.holders
        if (difference := _difference(holder, flow)) is not None
    ]
    differing = [one for one in compared if one[1] > 0]
    if not parts and not differing:
        return
    if compared and not differing:
        warnings.warn(
            f"The flow at {at} was converted without {parts} of the {kind}. The log_prob of the "
            f"{compared[0][0]} is the flow's.",
            stacklevel=3,
        )
        return
    reason = f"the {kind} has no log_prob or forward to compare with that takes the flow's inputs"
    if differing:
        name, difference = differing[0]
        reason = (
            f"the log_prob of the {name} differs from the flow's by up to {difference:.3g} nats"
        )
    raise refusal(
        "",
        f"this {kind} holds a flow at {at}; converting that alone would leave out "
        f"{parts or 'a step'}: {reason}. If the flow alone is meant, give {at} itself",
    )


@torch.no_grad()
def _difference(holder: Any, flow: RNVP) -> float | None:
    """The largest difference of the two log_prob, in nats; None if the holder has no log_prob.

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
        if differences and (name == "log_prob" or min(differences) == 0):
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


def _largest_difference(values: Tensor, expected: Tensor) -> float:
    difference = (values - expected).abs().nan_to_num(torch.inf)
    counted = expected.isfinite() & (difference > TOLERANCE * (1 + expected.abs()))
    return float(torch.where(counted, difference, 0.0).max())


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
