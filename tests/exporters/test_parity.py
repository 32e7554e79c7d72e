"""Parity accepts rounding errors and catches wrong graphs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.transforms import Coupling
from rnvp_exporters.errors import ParityError
from rnvp_exporters.graphs import graph_definitions
from rnvp_exporters.proof.eager import Arrays, EngineRoundings, eager
from rnvp_exporters.proof.parity import ALLOWED, BATCHES, check
from rnvp_exporters.proof.probes import DATA_ROWS, probe
from rnvp_exporters.proof.vectors import Vectors, choose_vectors
from tests.flows import CONFIGS, lively

NAMES = ["two coordinates", "given"]
GRAPHS = ["density", "inverse", "sampler", "gradient"]


def drawn(flow: RNVP, graph: int, dtype: torch.dtype = torch.float32) -> Vectors:
    """The probe and vectors of one graph of a flow: 0 density, 1 inverse, 2 sampler."""
    definition = graph_definitions(flow.dim, flow.context_dim)[graph]
    return choose_vectors(flow, probe(flow, definition, dtype, exact=True))


def runs_eager(flow: RNVP, subject: Vectors):  # type: ignore[no-untyped-def]
    """A "graph" that is the eager flow in float32."""
    single = flow.float()

    def run(feeds: Arrays) -> Arrays:
        with torch.no_grad():
            return eager(single, subject.probe.graph, feeds)

    return run


@pytest.mark.parametrize("graph", [0, 1, 2, 3], ids=GRAPHS)
@pytest.mark.parametrize("name", NAMES)
def test_eager_itself_passes_with_a_ratio_of_one_at_most(name: str, graph: int) -> None:
    """The reference is the largest error of a few runs, and plain eager is one of them."""
    flow = lively(CONFIGS[name])
    subject = drawn(flow, graph)
    for record in check(subject, runs_eager(flow, subject), "onnx"):
        assert 0.4 < record.ratio.median <= 1
        assert record.ratio.p99 <= 1 + 1e-6
        assert record.ratio.worst <= 1 + 1e-6
        assert record.passed


@pytest.mark.parametrize("graph", [0, 1, 2, 3], ids=GRAPHS)
def test_one_weight_off_by_a_thousandth_is_caught(graph: int) -> None:
    """A single weight that is off by one part in a thousand fails parity."""
    flow = lively(CONFIGS["two coordinates"])
    subject = drawn(flow, graph)
    coupling = flow.transforms[3]
    assert isinstance(coupling, Coupling)
    network = coupling.network("joint")
    assert network is not None
    with torch.no_grad():
        network.layers[0].weight[0, 0] *= 1.001
    with pytest.raises(ParityError, match="times eager's"):
        check(subject, runs_eager(flow, subject), "onnx")


def spoiled(factor: float, rows: slice, output: str = "log_prob", at: int | None = None):  # type: ignore[no-untyped-def]
    """A run that is off by ``factor`` times eager's p99 on some rows, at one batch size or all."""

    def of(flow: RNVP, subject: Vectors):  # type: ignore[no-untyped-def]
        run = runs_eager(flow, subject)

        def spoil(feeds: Arrays) -> Arrays:
            outputs = run(feeds)
            if at is None or len(outputs[output]) == at:
                outputs[output][rows] += factor * subject.probe.eager[output].p99
            return outputs

        return spoil

    return of


@pytest.mark.parametrize("batch", BATCHES[1:])
def test_the_error_names_the_output_the_batch_size_and_by_how_much(batch: int) -> None:
    """A graph that is wrong at one batch size only fails at that size."""
    flow = lively(CONFIGS["two coordinates"])
    subject = drawn(flow, 0)
    run = spoiled(1e4, slice(0, 1), at=batch)(flow, subject)
    message = rf"density \(onnx\): log_prob at batch {batch} is off by .* times eager's own error"
    with pytest.raises(ParityError, match=message):
        check(subject, run, "onnx")


def test_a_bias_that_no_single_row_shows_is_caught_by_the_median() -> None:
    """A single row may have a larger error than this; all rows together may not."""
    flow = lively(CONFIGS["two coordinates"])
    subject = drawn(flow, 0)
    run = spoiled(1.0, slice(None))(flow, subject)
    with pytest.raises(ParityError, match="its median error"):
        check(subject, run, "onnx")


def test_a_single_wrong_row_is_caught_by_the_worst() -> None:
    """One row of thousands is wrong, and only a run of all probes finds it."""
    flow = lively(CONFIGS["two coordinates"])
    subject = drawn(flow, 0)
    size = DATA_ROWS + 1024
    factor = 20 * subject.probe.eager["log_prob"].worst / subject.probe.eager["log_prob"].p99
    run = spoiled(factor, slice(2000, 2001), at=size)(flow, subject)
    with pytest.raises(ParityError, match="its worst error"):
        check(subject, run, "onnx")


def test_a_wrong_shape_is_caught_at_zero_rows() -> None:
    """An empty batch must give empty outputs."""
    flow = lively(CONFIGS["two coordinates"])
    subject = drawn(flow, 0)
    run = runs_eager(flow, subject)

    def padded(feeds: Arrays) -> Arrays:
        outputs = run(feeds)
        return {
            name: value if len(value) else np.zeros((1, *value.shape[1:]))
            for name, value in outputs.items()
        }

    with pytest.raises(ParityError, match=r"at batch 0 has shape \(1,\); expected \(0,\)"):
        check(subject, padded, "onnx")


def test_a_graph_that_hides_a_nan_is_caught() -> None:
    """A graph that gives a number for a NaN input fails parity."""
    flow = lively(CONFIGS["two coordinates"])
    subject = drawn(flow, 0)
    run = runs_eager(flow, subject)

    def hiding(feeds: Arrays) -> Arrays:
        return {name: np.nan_to_num(value) for name, value in run(feeds).items()}

    with pytest.raises(ParityError, match=r"for an input row .*nan.*, eager gives"):
        check(subject, hiding, "onnx")


def test_a_float64_graph_needs_float64_precision() -> None:
    """The eager float32 flow fails parity in the place of a float64 graph."""
    flow = lively(CONFIGS["two coordinates"])
    subject = drawn(flow, 0, torch.float64)
    with pytest.raises(ParityError):
        check(subject, runs_eager(flow, subject), "onnx")


def test_probes_are_numbers_that_float32_holds() -> None:
    """The rounding of the inputs then adds no error."""
    for graph in (0, 1):
        for value in drawn(lively(CONFIGS["given"]), graph).probe.inputs.values():
            assert np.array_equal(value, value.astype(np.float32))


def test_probing_is_the_same_every_time() -> None:
    """The same flow gives the same probes and the same errors of eager."""
    flow = lively(CONFIGS["given"])
    first, second = drawn(flow, 0).probe, drawn(flow, 0).probe
    assert all(np.array_equal(first.inputs[name], second.inputs[name]) for name in first.inputs)
    assert first.eager == second.eager


def test_the_published_factors_are_close_for_most_rows_and_loose_for_the_worst() -> None:
    """This test fails if someone raises a factor to make another test pass."""
    assert (ALLOWED.median, ALLOWED.p99, ALLOWED.worst) == (2.0, 2.0, 8.0)


def test_an_engine_whose_functions_round_differently_passes() -> None:
    """A flow of tanh layers passes in an engine whose tanh and exp differ by one rounding."""
    flow = lively(replace(CONFIGS["two coordinates"], activation="tanh"))
    subject = drawn(flow, 0)
    run = runs_eager(flow, subject)

    def elsewhere(feeds: Arrays) -> Arrays:
        with EngineRoundings(seed=2026):
            return run(feeds)

    for record in check(subject, elsewhere, "onnx"):
        assert record.ratio.median < 1.2


def test_a_log_prob_of_many_columns_may_be_summed_in_four_lanes() -> None:
    """A vector unit adds every fourth of 256 squares in turn, and PyTorch adds them in a tree."""
    flow = RNVP(RNVPConfig(dim=256, hidden=(8,), couplings=2)).double()
    subject = drawn(flow, 1, torch.float64)

    def run(feeds: Arrays) -> Arrays:
        outputs = eager(flow, subject.probe.graph, feeds)
        z = feeds["z"]
        lanes = np.zeros((len(z), 4))
        for squares in np.moveaxis((z * z).reshape(-1, 64, 4), 1, 0):
            lanes += squares
        tree = (torch.from_numpy(z) ** 2).sum(-1).numpy()
        with np.errstate(invalid="ignore"):  # inf − inf
            return {**outputs, "log_prob": outputs["log_prob"] + (tree - lanes.sum(1)) / 2}

    check(subject, run, "onnx")
