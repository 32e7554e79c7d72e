"""Lowering: from a flow to the few steps that must run.

``lower`` rewrites a flow (``rewrites``) and places its coordinates in one or two tensors
(``placement``). The result is an immutable value from which every emitter reads: the traced
graphs, and the native engine's data.
"""

from collections.abc import Sequence

from rnvp_deploy import RNVP, ir
from rnvp_exporters.lowering.placement import Lowered, Parts, PlacedCoupling, place
from rnvp_exporters.lowering.rewrites import (
    ABSORB,
    ALL,
    FOLD,
    RAW_CONTEXT,
    RENAME,
    SCALES,
    Rewrite,
)

__all__ = [
    "ABSORB",
    "ALL",
    "FOLD",
    "RAW_CONTEXT",
    "RENAME",
    "SCALES",
    "Lowered",
    "Parts",
    "PlacedCoupling",
    "Rewrite",
    "lower",
    "rewrite",
]


def lower(
    flow: RNVP, rewrites: Sequence[Rewrite] = ALL, *, keep_halves_apart: bool = True
) -> Lowered:
    """The inference form of ``flow``, which is not changed.

    Args:
        rewrites: those to apply, in order. ``RAW_CONTEXT`` cannot be left out where the flow
            standardises its context; any other only costs nodes when it is left out.
        keep_halves_apart: use two tensors where the masks allow it.
    """
    return place(rewrite(ir.read(flow), rewrites), keep_halves_apart=keep_halves_apart)


def rewrite(flow: ir.Flow, rewrites: Sequence[Rewrite] = ALL) -> ir.Flow:
    """The flow after ``rewrites``, each checked for what it requires and ensures."""
    ensured: list[Rewrite] = []
    for step in rewrites:
        assert step.requires(flow), f"{step.name} was applied to a flow that it cannot rewrite"
        flow = step.apply(flow)
        ensured.append(step)
        for earlier in ensured:
            assert earlier.ensures(flow), f"{step.name} undid what {earlier.name} ensures"
    return flow
