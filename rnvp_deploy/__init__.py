"""Real NVP flows in PyTorch: described, trained, saved, and converted from other libraries.

    flow = rnvp_deploy.RNVP(rnvp_deploy.RNVPConfig(dim=2))
    rnvp_deploy.fit(flow, x)                 # x: (n, 2) array
    rnvp_deploy.save(flow, "model.pt")

Names are imported when first used, so that a command's ``--help`` does not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnvp_deploy.checkpoint import load, save
    from rnvp_deploy.config import RNVPConfig
    from rnvp_deploy.conversion import convert
    from rnvp_deploy.flow import RNVP
    from rnvp_deploy.mapped_columns import ColumnMap, column_maps
    from rnvp_deploy.training import TrainingOptions, fit

__all__ = [
    "RNVP",
    "ColumnMap",
    "RNVPConfig",
    "TrainingOptions",
    "column_maps",
    "convert",
    "fit",
    "from_freia",
    "from_glasflow",
    "from_nessai",
    "from_nflows",
    "from_normflows",
    "from_tutorial",
    "from_zuko",
    "load",
    "save",
]

_HOME = {
    "ColumnMap": "mapped_columns",
    "RNVP": "flow",
    "RNVPConfig": "config",
    "TrainingOptions": "training",
    "column_maps": "mapped_columns",
    "convert": "conversion",
    "fit": "training",
    "load": "checkpoint",
    "save": "checkpoint",
}


def __getattr__(name: str) -> Any:
    home = "conversion" if name.startswith("from_") else _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
