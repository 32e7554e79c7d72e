"""nessai 0.15: layers of glasflow's copy of nflows, in nessai's own flow classes.

A ``FlowModel`` is nessai's trainer; it holds a flow.
"""

from rnvp_deploy.conversion.readers.nflows import is_nflows_flow, read_nflows
from rnvp_deploy.conversion.source import Reader

__all__ = ["READER"]

READER = Reader("nessai", is_nflows_flow, read_nflows, holders={"nessai.FlowModel": "model"})
