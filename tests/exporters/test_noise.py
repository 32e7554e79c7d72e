"""The stream inside the graphs gives the same words everywhere and standard normal numbers."""

import io
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_exporters.graphs import Format, graph_definitions, trace, without_warnings
from rnvp_exporters.graphs.noise import WORDS, normals
from rnvp_exporters.lowering import lower
from rnvp_runtime import stream
from tests.flows import lively

FLOATS = {torch.float32: np.float32, torch.float64: np.float64}
LIMITS = {torch.float32: 2e-6, torch.float64: 1e-14}
STREAMS = [(0, 0), (7, 0), (-1, 2**32 - 3), (2**63 - 1, 2**33 + 5), (-(2**63), 2**62)]


@cache
def sampler(dim: int, dtype: torch.dtype = torch.float32) -> bytes:
    """The ONNX sampler of a flow that is the identity, up to rounding."""
    config = RNVPConfig(dim=dim, couplings=1, hidden=(4,), standardise=False)
    flow = lively(config)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.zero_()
    return traced(flow, dtype, "onnx")


def traced(flow: RNVP, dtype: torch.dtype, format: Format) -> bytes:
    """The sampler of a flow in one format."""
    return trace(graph_definitions(flow.dim, 0)[2], lower(flow), dtype, format, 18)


@cache
def session(content: bytes, *, words: bool = False) -> onnxruntime.InferenceSession:
    """A session on a sampler, with its raw words among the outputs if ``words``."""
    model = onnx.load_from_string(content)
    if words:
        for name in WORDS:
            value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT64, None)
            model.graph.output.append(value)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def feeds(seed: int, start: int, count: int, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """The sampler's inputs at temperature 1."""
    scalars = {"seed": np.int64(seed), "start": np.int64(start), "count": np.int64(count)}
    return {name: np.array(value) for name, value in scalars.items()} | {
        "temperature": np.array(1, FLOATS[dtype])
    }


def onnx_words(dim: int, seed: int, start: int, count: int) -> NDArray[np.uint32]:
    """(count, blocks, 4) words as the ONNX graph computes them."""
    even, odd = session(sampler(dim), words=True).run(list(WORDS), feeds(seed, start, count))
    lanes = np.stack([even[1], odd[1], even[0], odd[0]], -1)  # each was [lane 2; lane 0]
    assert lanes.max() < 2**32
    return lanes.transpose(1, 0, 2).astype(np.uint32)


@pytest.mark.parametrize("dim", [2, 4, 5, 43])
@pytest.mark.parametrize(("seed", "start"), STREAMS)
def test_the_words_in_onnx_are_bit_for_bit_the_reference(dim: int, seed: int, start: int) -> None:
    """An independent implementation in numpy gives the same 32 bits."""
    assert np.array_equal(onnx_words(dim, seed, start, 17), stream.words(seed, start, 17, dim))


def test_the_zero_stream_starts_with_the_published_answer() -> None:
    """The answer is that of Philox4x32-10 for a zero key and counter (Salmon et al. 2011)."""
    published = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert onnx_words(4, 0, 0, 1).ravel().tolist() == published


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("dim", [2, 3, 8])
@pytest.mark.parametrize(("seed", "start"), STREAMS)
def test_the_normals_agree_in_torch_onnx_and_numpy(
    dim: int, seed: int, start: int, dtype: torch.dtype
) -> None:
    """The integers are equal; the floats agree to rounding."""
    want = stream.normals(seed, start, 9, dim, FLOATS[dtype])
    scalars = [torch.tensor(value) for value in (seed, start, 9)]
    got_torch = normals(scalars[0], scalars[1], scalars[2], dim, dtype == torch.float64).numpy()
    got_onnx = session(sampler(dim, dtype)).run(["x"], feeds(seed, start, 9, dtype))[0]
    for got in (got_torch, got_onnx):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=0, atol=LIMITS[dtype])


@pytest.mark.parametrize("format", ["torchscript", "pt2"])
def test_a_traced_program_takes_any_count_seed_and_start(format: str) -> None:
    """The program does not keep the count, seed or start of the traced example."""
    flow = lively(RNVPConfig(dim=3, couplings=1, hidden=(4,)))
    content = io.BytesIO(traced(flow, torch.float64, format))  # type: ignore[arg-type]
    with without_warnings():
        load = torch.jit.load if format == "torchscript" else torch.export.load
        program: Any = load(content)
    program = program if format == "torchscript" else program.module()
    for seed, start in STREAMS:
        for count in (0, 1, 2, 33):
            scalars = [torch.tensor(value) for value in (seed, start, count)]
            x, _ = program(*scalars, torch.tensor(1.0, dtype=torch.float64))
            want = flow.sample(count, seed=seed, start=start)
            torch.testing.assert_close(x, want, rtol=1e-9, atol=1e-9)


def test_a_row_is_the_same_wherever_it_is_drawn() -> None:
    """Random words depend on seed and row alone, not on start or count."""
    run = session(sampler(5), words=True)
    whole = run.run(list(WORDS), feeds(3, 0, 40))
    for start, count in ((0, 1), (13, 1), (7, 20), (39, 1)):
        part = run.run(list(WORDS), feeds(3, start, count))
        for a, b in zip(part, whole, strict=True):
            assert np.array_equal(a, b[:, :, start : start + count])


def test_the_normals_are_normal_in_every_coordinate() -> None:
    """Each coordinate passes a Kolmogorov–Smirnov test on one fixed stream."""
    z = session(sampler(6)).run(["x"], feeds(2024, 0, 200_000))[0]
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3


def test_the_tails_are_those_of_the_normal_distribution() -> None:
    """Counts beyond 3, 4 and 5 deviations are Poisson with the right means."""
    z = np.abs(session(sampler(8)).run(["x"], feeds(99, 0, 500_000))[0])
    for deviations in (3.0, 4.0, 5.0):
        expected = 2 * stats.norm.sf(deviations) * z.size
        low, high = stats.poisson.interval(0.9999, expected)
        assert low <= (z > deviations).sum() <= high


def test_coordinates_and_neighbouring_rows_are_uncorrelated() -> None:
    """Coordinates of a row and of the next row are uncorrelated, and so are their squares."""
    z = session(sampler(6)).run(["x"], feeds(5, 0, 200_000))[0].astype(np.float64)
    beside = np.concatenate([z[:-1], z[1:]], axis=1)
    correlation = np.corrcoef(beside.T) - np.eye(12)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(z))
    squares = np.corrcoef((beside**2).T) - np.eye(12)
    assert np.abs(squares).max() < 5 / np.sqrt(len(z))


def test_the_smallest_word_gives_a_finite_normal() -> None:
    """u is never 0: ½ is added to each word, and no optimizer drops it."""
    model = onnx.load_from_string(sampler(2))
    halves = [
        onnx.numpy_helper.to_array(value)
        for value in model.graph.initializer
        if value.data_type == onnx.TensorProto.FLOAT and not value.dims
    ]
    assert any(half == np.float32(0.5) for half in halves)
    largest = np.sqrt(-2 * np.log(2.0**-33))
    assert np.isfinite(largest)
    assert largest < 6.8
