"""nessai 0.15: layers of glasflow's copy of nflows, behind nessai's own flow classes."""

from collections.abc import Sequence
from typing import Any

from rnvp_deploy.conversion.nflows import read_nflows
from rnvp_deploy.conversion.refusal import refusal
from rnvp_deploy.conversion.source import bring
from rnvp_deploy.flow import RNVP

__all__ = ["from_nessai"]


def from_nessai(
    flow: Any,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The distribution of a ``nessai.flows.RealNVP`` as a flow of ours.

    A ``FlowModel``, nessai's training wrapper, may be given as well; its flow is converted.
    ``columns`` and ``context_columns`` name the coordinates. Raises ConversionError.
    """
    if type(flow).__name__ == "FlowModel":
        flow = flow.model
        if flow is None:
            raise refusal("", "the FlowModel holds no flow yet: call its initialise() and train it")
    return bring(flow, read_nflows, columns, context_columns)
