"""Flows that were trained with another library, as flows of ours.

    flow = rnvp_deploy.convert(their_model.eval())

The live model is read, since scale functions, clamps and slopes are in no state dict. Nothing of
another library is imported: a model brings its own. Every conversion is checked against its
source in float64 before it is handed out; see ``rnvp_deploy.conversion.proof``.
"""

from rnvp_deploy.conversion.freia import from_freia
from rnvp_deploy.conversion.glasflow import from_glasflow
from rnvp_deploy.conversion.libraries import convert
from rnvp_deploy.conversion.nessai import from_nessai
from rnvp_deploy.conversion.nflows import from_nflows
from rnvp_deploy.conversion.normflows import from_normflows
from rnvp_deploy.conversion.tutorial import from_tutorial
from rnvp_deploy.conversion.zuko import from_zuko

__all__ = [
    "convert",
    "from_freia",
    "from_glasflow",
    "from_nessai",
    "from_nflows",
    "from_normflows",
    "from_tutorial",
    "from_zuko",
]
