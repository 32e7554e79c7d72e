"""Couplings of other libraries as values."""

from collections.abc import Sequence

from rnvp_deploy import ir
from rnvp_deploy.conversion.refusal import refusal
from rnvp_deploy.ir.networks import output_width, select_outputs, split_outputs
from rnvp_deploy.maps import Affine
from rnvp_deploy.scales import Scale

__all__ = ["coupling", "pick_outputs"]


def coupling(
    path: str,
    passive: Sequence[int],
    active: Sequence[int],
    *,
    sig: ir.Network | None = None,
    mu: ir.Network | None = None,
    joint: ir.Network | None = None,
    scale: Scale | None = None,
    inverted: bool = False,
    context_dim: int = 0,
) -> ir.Coupling:
    """An affine coupling with these networks.

    Args:
        path: of the layer, for the error.
        passive: coordinates that the networks read.
        active: coordinates that move.
        sig: gives u, for σ = scale(u).
        mu: gives μ.
        joint: gives both: all of u, then all of μ.
        scale: needed with ``sig`` or ``joint``.
        inverted: swaps the two directions.
        context_dim: the number of conditions that the networks read.

    Raises:
        ConversionError: there is nothing to read or to move, or a network's outputs do not fit.
    """
    inputs, k = len(passive) + context_dim, len(active)
    if not inputs or not k:
        raise refusal(
            path,
            f"it passes on {len(passive)} coordinates and moves {k}; a coupling needs at least 1 "
            "of each",
        )
    for network, expected in ((sig, k), (mu, k), (joint, 2 * k)):
        if network is not None:
            _require_outputs(path, network, inputs, expected)
    trunk: ir.Network = ()
    if joint is not None:
        trunk, (last_sig, last_mu) = split_outputs(joint, (k, k))
        sig, mu = (last_sig,), (last_mu,)
    heads = {name: network for name, network in (("sig", sig), ("mu", mu)) if network is not None}
    moved_by = Affine() if scale is None else Affine(scale)
    return ir.Coupling(tuple(passive), tuple(active), heads, trunk, moved_by, inverted, context_dim)


def pick_outputs(path: str, network: ir.Network, rows: Sequence[int], width: int) -> ir.Network:
    """h ↦ the outputs ``rows`` of network(h), in this order, where it must have ``width`` outputs.

    Raises:
        ConversionError: it has another number of outputs.
    """
    _require_outputs(path, network, width, width)
    return select_outputs(network, rows, width)


def _require_outputs(path: str, network: ir.Network, inputs: int, expected: int) -> None:
    if (width := output_width(network, inputs)) != expected:
        raise refusal(path, f"its network gives {width} numbers; the coupling uses {expected}")
