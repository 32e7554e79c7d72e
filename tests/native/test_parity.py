"""The native engine passes the same proof as an exported graph, also for NaN."""

import pytest
import torch

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_exporters.graphs import graph_definitions
from rnvp_exporters.native import flow_bin
from rnvp_exporters.proof.parity import check
from rnvp_exporters.proof.probes import probe
from rnvp_exporters.proof.vectors import choose_vectors
from rnvp_runtime.engines import ENGINES, Signature
from tests.flows import CONFIGS, SCALES, lively

DTYPES = [torch.float32, torch.float64]


def hold_to_parity(flow: RNVP, dtype: torch.dtype) -> None:
    """Check all four graphs at every batch size, on data, on tails, on NaN and infinities."""
    content = flow_bin(flow, "float32" if dtype == torch.float32 else "float64")
    for graph in graph_definitions(flow.dim, flow.context_dim):
        outputs = list(graph.outputs)
        run = ENGINES["native"].open(
            content, outputs, signature=Signature(graph.name, tuple(graph.inputs), tuple(outputs))
        )
        drawn = choose_vectors(flow, probe(flow, graph, dtype, exact=True))
        check(drawn, lambda feeds: dict(zip(outputs, run(feeds), strict=True)), "native")  # noqa: B023


def test_one_flow() -> None:
    """Parity holds for one flow. This is the quick test."""
    hold_to_parity(lively(CONFIGS["two coordinates"]), torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_kind_of_flow(name: str, dtype: torch.dtype) -> None:
    """Parity holds for every configuration in both dtypes."""
    hold_to_parity(lively(CONFIGS[name]), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCALES)
def test_every_scale_function(name: str) -> None:
    """A steep scale increases eager's error as much as the engine's, so parity holds."""
    config = RNVPConfig(dim=5, scale=SCALES[name], mixing="permute", hidden=(16, 16), couplings=4)
    hold_to_parity(lively(config, spread=0.04 if name == "exp" else 0.08), torch.float32)
