"""Frozen descriptions as plain containers and back, so that a checkpoint holds no code.

A description becomes a dict whose ``kind`` is the name of its class. Only the classes listed here
can be made from one.
"""

from dataclasses import fields, is_dataclass
from typing import Any

from rnvp_deploy import networks, transforms
from rnvp_deploy.errors import CheckpointError
from rnvp_deploy.field_types import find_mistyped
from rnvp_deploy.mapped_columns import ColumnMap
from rnvp_deploy.maps import MAPS
from rnvp_deploy.scales import SCALES
from rnvp_deploy.spec import FlowSpec

__all__ = ["find_unknown", "from_plain", "to_plain"]

_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        FlowSpec,
        transforms.CouplingSpec,
        transforms.DiagonalAffineSpec,
        transforms.ElementwiseSpec,
        ColumnMap,
        transforms.PermutationSpec,
        transforms.LinearSpec,
        networks.Dense,
        networks.Activation,
        networks.Norm,
        networks.Rescale,
        networks.Residual,
        *MAPS.values(),
        *SCALES.values(),
    )
}


def to_plain(value: Any) -> Any:
    """``value`` as dicts, lists, numbers and strings."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__, **parts}
    if isinstance(value, tuple | list):
        return [to_plain(part) for part in value]
    return value


def find_unknown(value: Any) -> type | None:
    """The class of the first description in ``value`` that ``from_plain`` cannot make."""
    if isinstance(value, tuple | list):
        return next((kind for part in value if (kind := find_unknown(part))), None)
    if not is_dataclass(value):
        return None
    if _KINDS.get(type(value).__name__) is not type(value):
        return type(value)
    return find_unknown([getattr(value, field.name) for field in fields(value)])


def from_plain(value: Any) -> Any:
    """The inverse of ``to_plain``. CheckpointError for an unknown kind."""
    if isinstance(value, dict):
        parts = {name: from_plain(part) for name, part in value.items() if name != "kind"}
        kind = _KINDS.get(str(value.get("kind")))
        if kind is None:
            raise CheckpointError(
                f"the checkpoint describes a {value.get('kind')!r}, which this version of "
                "rnvp-deploy does not know; a newer one may"
            )
        try:
            found = kind(**parts)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            raise CheckpointError(f"the checkpoint's {value['kind']} is damaged: {error}") from None
        if (mistyped := find_mistyped(found)) is not None:
            raise CheckpointError(
                f"the checkpoint's {value['kind']} is damaged: its {mistyped} is "
                f"{getattr(found, mistyped)!a:.80}"
            )
        return found
    if isinstance(value, list):
        return tuple(from_plain(part) for part in value)
    return value
