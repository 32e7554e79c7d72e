"""The gradient graph gives the result of autograd, in few standard nodes."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.config import Mixing
from rnvp_deploy.networks import ACTIVATIONS
from rnvp_exporters.graphs import graph_definitions, trace
from rnvp_exporters.graphs.gradient import gradient
from rnvp_exporters.graphs.operators import PLAIN
from rnvp_exporters.lowering import lower
from tests.flows import CONFIGS, SCALES, lively, some_context, some_data

KINDS = ["permuted", "linear", "gated", "one coordinate, given"]
SMALL: dict[str, Any] = {"dim": 3, "hidden": (8,), "couplings": 2}


def inputs_of(flow: RNVP, rows: int = 64) -> list[Tensor]:
    """Rows like data, and their contexts if there are any."""
    context = some_context(flow, rows)
    return [some_data(flow, rows), *([] if context is None else [context])]


def autograd(flow: RNVP, inputs: list[Tensor]) -> list[Tensor]:
    """log_prob of the eager flow, and its derivatives with respect to every input."""
    leaves = [value.clone().requires_grad_() for value in inputs]
    log_prob = flow.log_prob(*leaves)
    return [log_prob.detach(), *torch.autograd.grad(log_prob.sum(), leaves)]


def assert_is_autograd(flow: RNVP) -> None:
    """Check the traced module against autograd of the eager flow, in float64."""
    module = gradient(lower(flow), PLAIN, torch.float64)
    inputs = inputs_of(flow)
    for got, want in zip(module(*inputs), autograd(flow, inputs), strict=True):
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10 * float(want.abs().max()))


@pytest.mark.parametrize("name", KINDS)
def test_it_is_the_derivative_of_the_flow(name: str) -> None:
    """The gradient agrees with autograd for permuted, linear, gated and conditional flows."""
    assert_is_autograd(lively(CONFIGS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - set(KINDS)))
def test_it_is_the_derivative_of_every_other_flow(name: str) -> None:
    """The gradient agrees with autograd for the remaining configurations."""
    assert_is_autograd(lively(CONFIGS[name]))


@pytest.mark.parametrize("name", ["atan", "centred", "log_softplus"])
def test_it_is_the_derivative_of_scales_that_a_graph_writes_differently(name: str) -> None:
    """A graph writes these as a refined atan, a centring matrix, and a clamp inside a logarithm."""
    assert_is_autograd(lively(RNVPConfig(scale=SCALES[name], mixing="permute", **SMALL)))


@pytest.mark.slow
@pytest.mark.parametrize("mixing", ["swap", pytest.param("permute", marks=pytest.mark.matrix)])
@pytest.mark.parametrize("name", SCALES)
def test_it_is_the_derivative_of_every_scale(name: str, mixing: Mixing) -> None:
    """The gradient needs no code for any scale function."""
    assert_is_autograd(lively(RNVPConfig(scale=SCALES[name], mixing=mixing, **SMALL)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_it_is_the_derivative_of_every_activation(name: str) -> None:
    """The gradient needs no code for any activation."""
    assert_is_autograd(lively(RNVPConfig(activation=name, **SMALL)))


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """The graph of a conditional float64 flow of 8 couplings."""
    flow = lively(CONFIGS["given"])
    definition = graph_definitions(flow.dim, flow.context_dim)[3]
    return onnx.load_from_string(trace(definition, lower(flow), torch.float64, "onnx", 18))


def test_it_is_standard_onnx_with_a_symbolic_number_of_rows(model: onnx.ModelProto) -> None:
    """The graph uses the ONNX domain only and agrees with autograd at 0, 1 and 64 rows."""
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert [value.name for value in model.graph.output] == ["log_prob", "grad_x", "grad_context"]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    flow = lively(CONFIGS["given"])
    inputs = inputs_of(flow)
    expected = autograd(flow, inputs)
    for rows in (0, 1, 64):
        feeds = dict(zip(("x", "context"), (value[:rows].numpy() for value in inputs), strict=True))
        for got, want in zip(session.run(None, feeds), expected, strict=True):
            np.testing.assert_allclose(got, want[:rows], rtol=1e-10, atol=1e-10)


def test_a_weight_is_in_the_file_once(model: onnx.ModelProto) -> None:
    """The forward and the backward Gemm read the same weight; the backward one transposes it."""
    readers = Counter(node.input[1] for node in model.graph.node if node.op_type == "Gemm")
    assert set(readers.values()) == {2}


def test_it_costs_few_nodes(model: onnx.ModelProto) -> None:
    """A product and the sum after it are one Gemm, and no node creates ones or shapes."""
    found = Counter(node.op_type for node in model.graph.node)
    assert not found.keys() & {"Expand", "Shape", "ConstantOfShape", "MatMul", "Transpose", "Cast"}
    assert len(model.graph.node) == 138
