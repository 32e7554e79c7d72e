"""Which library a model comes from, told by the module in which its type is defined."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from rnvp_deploy.conversion.freia import from_freia
from rnvp_deploy.conversion.glasflow import from_glasflow
from rnvp_deploy.conversion.nessai import from_nessai
from rnvp_deploy.conversion.nflows import from_nflows
from rnvp_deploy.conversion.normflows import from_normflows
from rnvp_deploy.conversion.refusal import kinds, refusal
from rnvp_deploy.conversion.tutorial import from_tutorial, is_tutorial
from rnvp_deploy.conversion.zuko import from_zuko
from rnvp_deploy.flow import RNVP

__all__ = ["convert"]

_LIBRARIES: dict[str, Callable[..., RNVP]] = {
    "FrEIA": from_freia,
    "glasflow": from_glasflow,
    "nessai": from_nessai,
    "nflows": from_nflows,
    "normflows": from_normflows,
    "zuko": from_zuko,
}


def convert(
    flow: Any,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The same distribution as a flow of ours, in eval mode and in the dtype of ``flow``.

    ``flow`` is a trained model of nflows, normflows, zuko, FrEIA, glasflow or nessai, or an
    R_NVP as the tutorials write it; it is left as it is. ``columns`` and ``context_columns``
    name the coordinates.

    Raises:
        ConversionError: in one line, which layer has no counterpart, or computes something else
            than its conversion.
    """
    convert_it = _converter(flow)
    if convert_it is not None:
        return convert_it(flow, columns=columns, context_columns=context_columns)
    inside = ""
    if isinstance(flow, nn.Module):
        names = [name for name, child in flow.named_children() if _converter(child) is not None]
        inside = f"; its attribute {names[0]!r} is one: convert that" if names else ""
    raise refusal(
        "",
        f"a {type(flow).__module__}.{type(flow).__name__} is no flow of "
        f"{', '.join(_LIBRARIES)}, and no R_NVP with sig_net and mu_net{inside}",
    )


def _converter(flow: object) -> Callable[..., RNVP] | None:
    for kind in kinds(flow):
        library, _, _ = kind.partition(".")
        if library in _LIBRARIES:
            return _LIBRARIES[library]
    return from_tutorial if isinstance(flow, nn.Module) and is_tutorial(flow) else None
