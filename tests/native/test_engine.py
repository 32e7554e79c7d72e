"""The native engine agrees with the flow: density, inverse, samples and gradients."""

import threading
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVP, RNVPConfig, ir
from rnvp_deploy.config import Mixing
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import ACTIVATIONS, Activation, Norm
from rnvp_deploy.scales import Tanh
from rnvp_exporters.native import encode, flow_bin
from rnvp_runtime.errors import BundleError, InputError
from rnvp_runtime.native import NativeFlow
from rnvp_runtime.stream import normals
from tests.flows import CONFIGS, SCALES, lively, some_context, some_data

Dtype = Literal["float32", "float64"]
TOLERANCE = {"float32": 3e-3, "float64": 1e-10}
ROWS = (1, 6, 23, 131)
"""A single row, part of a block, and whole blocks with and without a remainder."""


def array(values: torch.Tensor | None, dtype: str) -> Any:
    """The values as an array that the engine accepts."""
    return None if values is None else np.ascontiguousarray(values.detach().numpy().astype(dtype))


def close(got: NDArray[Any], want: torch.Tensor, dtype: str) -> None:
    """Check that two outputs are equal up to rounding, in units of the largest number."""
    expected = want.detach().numpy()
    unit = 1 + np.abs(expected).max(initial=0)
    np.testing.assert_allclose(got / unit, expected / unit, rtol=0, atol=TOLERANCE[dtype])


def hold_to_eager(flow: RNVP, targets: list[str], dtypes: tuple[Dtype, ...]) -> None:
    """Compare every output at each number of rows, in each dtype, on each instruction set."""
    for dtype in dtypes:
        content = flow_bin(flow, dtype)
        for target in targets:
            native = NativeFlow(content, gradient=True, target=target)
            for rows in ROWS:
                hold_rows(flow, native, rows, dtype)


def hold_rows(flow: RNVP, native: NativeFlow, rows: int, dtype: Dtype) -> None:
    """Compare one call of each method."""
    x = some_data(flow, max(ROWS))[:rows].clone().requires_grad_()
    context = some_context(flow, max(ROWS))
    leaves, names = [x], ["log_prob", "grad_x"]
    if context is not None:
        context = context[:rows].clone().requires_grad_()
        leaves, names = [x, context], [*names, "grad_context"]
    z, log_pz, log_jacob = flow(x, context)
    log_prob = log_pz + log_jacob
    gradients = torch.autograd.grad(log_prob.sum(), leaves)
    given = array(context, dtype)
    got = native.forward(array(x, dtype), given) + native.inverse(array(z, dtype), given)
    got += native.gradient(array(x, dtype), given, names)
    for values, want in zip(got, [log_prob, z, x, log_prob, log_prob, *gradients], strict=True):
        close(values, want, dtype)
    (drawn,) = native.sample(-5, 2**33 + 3, rows, 0.7, given, ["x"])
    still = None if context is None else context.detach()
    close(drawn, flow.sample(rows, seed=-5, start=2**33 + 3, temperature=0.7, context=still), dtype)


@pytest.mark.parametrize("name", CONFIGS)
def test_each_kind_of_flow(name: str, targets: list[str]) -> None:
    """The engine agrees in float64 and float32, on every instruction set."""
    hold_to_eager(lively(CONFIGS[name]), targets, ("float64", "float32"))


@pytest.mark.parametrize("mixing", ["swap", "permute"])
@pytest.mark.parametrize("name", SCALES)
def test_each_scale_function(name: str, mixing: Mixing) -> None:
    """The outputs agree for each scale function, and so do the gradients."""
    config = RNVPConfig(dim=5, scale=SCALES[name], mixing=mixing, hidden=(8,), couplings=3)
    hold_to_eager(lively(config), ["best"], ("float64",))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation(activation: str) -> None:
    """The outputs agree for each activation, and so do the gradients."""
    hidden = (8,) if activation == "exp" else (8, 8)  # exp of exp leaves no digits to compare
    config = RNVPConfig(dim=3, activation=activation, hidden=hidden, couplings=2)
    hold_to_eager(lively(config, spread=0.02), ["best"], ("float64",))


def test_each_layer(targets: list[str]) -> None:
    """Norms, rescalings and nested residual blocks agree, with gates and without."""
    draw = np.random.default_rng(3)

    def dense(inputs: int, outputs: int) -> ir.Dense:
        weight = draw.standard_normal((outputs, inputs)) / np.sqrt(inputs)
        return ir.Dense(weight, draw.standard_normal(outputs))

    def network(inputs: int, outputs: int) -> ir.Network:
        inner = ir.Residual((dense(9, 9), Activation("tanh")), dense(2, 9))
        body = (Norm(9, 1e-3, 1), dense(9, 9), Activation("silu"), inner)
        rescale = ir.Rescale(draw.standard_normal(9), draw.standard_normal(9))
        first = (dense(inputs, 9), Activation("tanh"), rescale, ir.Residual(body))
        return (*first, Norm(9), Activation("relu"), dense(9, outputs))

    couplings: list[ir.Transform] = []
    for i in range(3):
        passive, active = ((0, 3, 1), (4, 2)) if i % 2 else ((4, 2), (3, 0, 1))
        widths = len(passive) + 2, len(active)
        heads = {"sig": network(*widths), "mu": network(*widths)}
        coupling = ir.Coupling(passive, active, heads, (), Affine(Tanh(0.5)), i == 1, 2)
        couplings += [coupling, ir.DiagonalAffine(draw.standard_normal(5), draw.standard_normal(5))]
    hold_to_eager(ir.build(ir.Flow(5, 2, tuple(couplings))), targets, ("float64", "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_bad_row_changes_no_other_row(dtype: Dtype, targets: list[str]) -> None:
    """A row with NaN or infinity gives the result of eager. All other rows keep their bits."""
    flow = lively(CONFIGS["permuted"])
    clean = array(some_data(flow, 100), dtype)
    damaged = clean.copy()
    for row, bad in enumerate((np.nan, np.inf, -np.inf, np.nan)):
        damaged[23 * row + 5, row] = bad
    rows = [23 * row + 5 for row in range(4)]
    whole = np.setdiff1d(np.arange(100), rows)
    for target in targets:
        native = NativeFlow(flow_bin(flow, dtype), gradient=True, target=target)
        for method in (native.forward, native.inverse, native.gradient):
            for got, expected in zip(method(damaged), method(clean), strict=True):
                np.testing.assert_array_equal(got[whole], expected[whole])
        log_prob, z = native.forward(damaged)
        eager = flow.to(getattr(torch, dtype))(torch.from_numpy(damaged[rows]))
        np.testing.assert_array_equal(np.isnan(z[rows]), np.isnan(eager[0].numpy()))
        np.testing.assert_array_equal(np.isinf(z[rows]), np.isinf(eager[0].numpy()))
        assert not np.isfinite(log_prob[rows]).any()
        flow.double()


def test_samples_are_rows_of_the_stream() -> None:
    """The samples of a flow without steps are the stream, from any start."""
    identity = ir.Flow(7, 0, ())
    for dtype, tolerance in (("float32", 4e-6), ("float64", 1e-14)):
        native = NativeFlow(encode(identity, dtype))  # type: ignore[arg-type]
        for seed, start in ((0, 0), (-1, 2**32 - 3), (2**63 - 1, 2**63 - 1 - 60)):
            (x,) = native.sample(seed, start, 60, 1.0, None, ["x"])
            np.testing.assert_allclose(x, normals(seed, start, 60, 7, dtype), atol=tolerance)
            (cut,) = native.sample(seed, start + 13, 1, 1.0, None, ["x"])
            np.testing.assert_allclose(cut, x[13:14], atol=tolerance)


def test_a_temperature_scales_the_latent() -> None:
    """At temperature 0 every sample is the inverse of the origin."""
    flow = lively(CONFIGS["odd"])
    native = NativeFlow(flow_bin(flow, "float64"))
    (x,) = native.sample(3, 0, 30, 0.0, None, ["x"])
    close(x, flow.inverse(torch.zeros(30, 7, dtype=torch.float64)), "float64")


def test_threads_share_a_flow() -> None:
    """Each thread has its own workspace and gets the same bits as a single thread."""
    flow = lively(CONFIGS["odd"])
    native, x = NativeFlow(flow_bin(flow)), array(some_data(flow, 500), "float32")
    (alone,) = native.forward(x, None, ["log_prob"])
    results: list[NDArray[Any]] = []

    def score() -> None:
        for _ in range(20):
            results.extend(native.forward(x, None, ["log_prob"]))

    threads = [threading.Thread(target=score) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    for result in results:
        np.testing.assert_array_equal(result, alone)


def test_an_empty_batch_gives_empty_outputs() -> None:
    """Every method accepts zero rows."""
    native = NativeFlow(flow_bin(lively(CONFIGS["odd"])), gradient=True)
    empty = np.empty((0, 7), np.float32)
    for method in (native.forward, native.inverse, native.gradient):
        assert [len(output) for output in method(empty)] == [0, 0]
    assert native.sample(1, 0, 0)[0].shape == (0, 7)


def test_rows_that_do_not_fit_are_refused() -> None:
    """Wrong widths and dtypes, rows with gaps and a missing context are refused."""
    native = NativeFlow(flow_bin(lively(CONFIGS["given"])))
    x, context = np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32)
    for bad in (x[:, :2], x.astype(np.float64), np.zeros((3, 4), np.float32).T):
        with pytest.raises(InputError, match="expected contiguous float32"):
            native.forward(bad, context)
    with pytest.raises(InputError):
        native.forward(x)
    with pytest.raises(InputError):
        native.gradient(x, context)
    with pytest.raises(InputError):
        native.sample(0, 2**63 - 1, 1, 1.0, context[:1])


def test_a_target_that_the_machine_lacks_is_refused(tiny: bytes, targets: list[str]) -> None:
    """The error says that the machine has no such instruction set."""
    if "avx512" in targets:
        pytest.skip("this machine has them all")
    with pytest.raises(BundleError, match="no such instruction set"):
        NativeFlow(tiny, target="avx512")
