"""Where an activation's input lies at a kink, rounding decides the gradient."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVPConfig
from rnvp_exporters.errors import ParityError
from rnvp_exporters.graphs import graph_definitions
from rnvp_exporters.proof.eager import Arrays
from rnvp_exporters.proof.kinks import other_side
from rnvp_exporters.proof.parity import check
from rnvp_exporters.proof.probes import errors
from rnvp_exporters.proof.running import GraphFunction
from tests.exporters.test_parity import drawn, runs_eager
from tests.flows import CONFIGS, lively

WIDE = RNVPConfig(dim=2, couplings=6, hidden=(64, 64))  # 1,536 kinks a row: some rows are at one


def test_the_gradient_may_fall_on_either_side_of_a_kink_and_nowhere_else() -> None:
    """A gradient from the other side of a kink passes. The same jump on another row fails."""
    flow = lively(WIDE)
    subject = drawn(flow, 3)
    probe = subject.probe
    moved = other_side(flow, probe.graph, probe.inputs, torch.float32)
    assert moved is not None
    jumps = errors(moved["grad_x"], probe.truth["grad_x"], probe.scale["grad_x"])
    ordinary = np.maximum(probe.measured.runs["grad_x"].max(0), probe.typical["grad_x"])
    at_kinks = np.flatnonzero((jumps > 10 * ordinary) & np.isfinite(probe.rows["grad_x"]))
    assert len(at_kinks) > 0
    eager = runs_eager(flow, subject)

    def on_rows(rows: NDArray[np.intp]) -> GraphFunction:
        def run(feeds: Arrays) -> Arrays:
            outputs = eager(feeds)
            if len(feeds["x"]) == len(probe.inputs["x"]):
                jump = moved["grad_x"][at_kinks] - probe.truth["grad_x"][at_kinks]
                outputs["grad_x"][rows] = probe.truth["grad_x"][rows] + jump
            return outputs

        return run

    check(subject, on_rows(at_kinks), "onnx")
    clear = np.flatnonzero(probe.calm)[: len(at_kinks)]
    with pytest.raises(ParityError, match=r"grad_x .* times eager's own"):
        check(subject, on_rows(clear), "onnx")


def test_no_test_vector_has_a_row_at_a_kink() -> None:
    """Another processor may compute the gradient on the other side of the kink."""
    flow = lively(WIDE)
    subject = drawn(flow, 3)
    for inputs, truth in subject.sets[:3]:
        moved = other_side(flow, subject.probe.graph, inputs, torch.float32)
        assert moved is not None
        jumps = errors(moved["grad_x"], truth["grad_x"], subject.probe.scale["grad_x"])
        assert jumps.max() <= subject.tolerance["grad_x"]


@pytest.mark.parametrize("activation", ["tanh", "softplus", "elu"])
def test_a_smooth_activation_has_one_gradient(activation: str) -> None:
    """Its gradient has no jump, also if its formula uses functions that have kinks."""
    flow = lively(RNVPConfig(dim=2, couplings=6, hidden=(64, 64), activation=activation))
    probe = drawn(flow, 3).probe
    moved = other_side(flow, probe.graph, probe.inputs, torch.float32)
    assert moved is not None
    np.testing.assert_allclose(moved["grad_x"], probe.truth["grad_x"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("graph", [0, 1, 2])
def test_other_graphs_do_not_jump(graph: int) -> None:
    """The density, the inverse and the sampler are continuous."""
    flow = lively(CONFIGS["two coordinates"])
    definition = graph_definitions(2, 0)[graph]
    assert other_side(flow, definition, {}, torch.float32) is None
