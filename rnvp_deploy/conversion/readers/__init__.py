"""The libraries whose models are converted, one module for each.

To add a library, write a module with a ``READER`` and enter it in ``READERS``.
"""

from rnvp_deploy.conversion.readers import (
    freia,
    glasflow,
    nessai,
    nflows,
    normflows,
    tutorial,
    zuko,
)
from rnvp_deploy.conversion.source import Reader

__all__ = ["READERS"]

READERS: dict[str, Reader] = {
    module.READER.library.lower(): module.READER
    for module in (freia, glasflow, nessai, nflows, normflows, tutorial, zuko)
}
"""The readers by the name that ``convert(flow, library)`` takes and ``from_<name>`` ends in."""
