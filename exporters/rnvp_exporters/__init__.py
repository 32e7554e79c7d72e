"""A trained flow is lowered, traced, compared with eager PyTorch and published as a bundle.

rnvp_exporters.export("model.pt", "model.rnvp")      # or a flow in memory
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnvp_exporters.bundle.export import export
    from rnvp_exporters.errors import ExportError, ParityError, PrecisionError

__all__ = ["ExportError", "ParityError", "PrecisionError", "export"]


def __getattr__(name: str) -> Any:
    if name == "export":
        from rnvp_exporters.bundle.export import export

        return export
    if name in ("ExportError", "ParityError", "PrecisionError"):
        from rnvp_exporters import errors

        return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
