"""Flows that were trained with another library, converted.

    flow = rnvp_deploy.convert(their_model.eval())

The model itself is read, because a state dict does not contain scale functions, clamps and slopes.
No other library is imported: the user's code has imported the library of the model. Every
conversion is checked against its source in float64 before it is returned; see
``rnvp_deploy.conversion.proof``.

``from_nflows(flow)`` is ``convert(flow, "nflows")``, and so on for each entry of
``rnvp_deploy.conversion.readers.READERS``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from rnvp_deploy.conversion.converting import convert
from rnvp_deploy.conversion.readers import READERS
from rnvp_deploy.flow import RNVP

__all__ = ["convert"]


def _from_library(library: str) -> Callable[..., RNVP]:
    def from_library(
        flow: Any,
        *,
        columns: Sequence[str] | None = None,
        context_columns: Sequence[str] | None = None,
    ) -> RNVP:
        return convert(flow, library, columns=columns, context_columns=context_columns)

    from_library.__name__ = from_library.__qualname__ = f"from_{library}"
    from_library.__doc__ = f"""Convert ``flow``, a model of {library}.

    The same as ``convert(flow, "{library}", columns=..., context_columns=...)``, which see for
    the arguments and errors.

    Returns:
        The same distribution as an ``RNVP``.
    """
    return from_library


_FROM = {f"from_{library}": _from_library(library) for library in READERS}


def __getattr__(name: str) -> Callable[..., RNVP]:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _FROM[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_FROM})
