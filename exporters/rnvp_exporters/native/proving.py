"""``flow.bin`` for a bundle is encoded, and checked in the same way as an exported graph.

A flow that the format cannot hold, or an installation without the compiled library, does not stop
an export: the bundle then serves every call by its graphs, and its manifest says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from rnvp_deploy import RNVP
from rnvp_exporters.errors import ExportError, ParityError
from rnvp_exporters.native.flow_bin import Dtype, flow_bin
from rnvp_exporters.proof import parity
from rnvp_exporters.proof.running import open_graph
from rnvp_exporters.proof.vectors import Vectors
from rnvp_runtime.bundle.manifest import Parity
from rnvp_runtime.engines import ENGINES
from rnvp_runtime.errors import BundleError
from rnvp_runtime.native.library import load_library

__all__ = ["NativePart", "prove_native"]


@dataclass(frozen=True)
class NativePart:
    """The part of a bundle for the native engine.

    Attributes:
        content: of ``flow.bin``; None if the bundle gets none.
        records: the parity of each output of each graph; empty if nothing was proved.
        refusal: why the engine does not run the bundle, in a few words; None if it does.
    """

    content: bytes | None = None
    records: tuple[Parity, ...] = ()
    refusal: str | None = None


def prove_native(flow: RNVP, dtype: str, vectors: Mapping[str, Vectors]) -> NativePart:
    """Encode ``flow``, and check the native engine on the probes of each graph.

    Args:
        flow: what is exported.
        dtype: of the bundle, ``float32`` or ``float64``.
        vectors: graph -> its probes and test vectors, as the exported graphs were checked with.
    """
    try:
        content = flow_bin(flow, cast(Dtype, dtype))
    except ExportError as error:
        return NativePart(refusal=str(error))
    try:
        load_library()
    except BundleError:
        return NativePart(
            content,
            refusal="flow.bin was not checked, since the installation that exported it has no "
            "native engine",
        )
    records: list[Parity] = []
    try:
        for chosen in vectors.values():
            run = open_graph(chosen.probe.graph, content, ENGINES["native"])
            records += parity.check(chosen, run, "native")
    except ParityError as error:
        reason = str(error).removesuffix("; nothing was published")
        return NativePart(refusal=f"its native engine failed the proof: {reason}")
    return NativePart(content, tuple(records))
