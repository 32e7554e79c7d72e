"""A loaded bundle: its inputs, its outputs and its errors."""

import multiprocessing
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import rnvp_runtime
from rnvp_runtime import BundleError, InputError

Make = Callable[..., Path]
X = np.array([[0.5, -1.0], [2.0, 3.0], [-4.0, 1.5]])


def test_log_prob_is_that_of_the_flow(flow: Any, affine: Any) -> None:
    """log_prob agrees with the closed form, has shape (n,) and the bundle's dtype."""
    found = flow.log_prob(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, affine().log_prob(X), rtol=1e-5)


def test_forward_and_inverse_undo_each_other(flow: Any, affine: Any) -> None:
    """inverse(forward(x)) is x, and forward agrees with the closed form."""
    z = flow.forward(X)
    np.testing.assert_allclose(z, affine().z(X), rtol=1e-6)
    np.testing.assert_allclose(flow.inverse(z), X, rtol=1e-6)


def test_both_directions_give_log_prob_on_request(flow: Any) -> None:
    """return_log_prob adds log p(x), which is equal in both directions."""
    z, from_x = flow.forward(X, return_log_prob=True)
    x, from_z = flow.inverse(z, return_log_prob=True)
    np.testing.assert_allclose(from_x, flow.log_prob(X))
    np.testing.assert_allclose(from_z, from_x, rtol=1e-5)
    assert x.shape == X.shape


def test_float64_bundles_compute_in_float64(make_bundle: Make, affine: Any) -> None:
    """A float64 bundle agrees with the closed form within 1e-14."""
    found = rnvp_runtime.load(make_bundle(dtype="float64")).log_prob(X)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, affine().log_prob(X), rtol=1e-14)


@pytest.mark.parametrize(
    "given",
    [
        X.astype(np.float16),
        X.astype(np.float32),
        X.astype(np.longdouble),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=0)[::2],
        X.astype(">f8"),
        X.tolist(),
        np.ma.masked_array(X),
    ],
    ids=["half", "single", "long", "fortran", "strided", "big-endian", "list", "masked"],
)
def test_any_numeric_array_will_do(flow: Any, given: Any) -> None:
    """dtype, byte order and memory layout do not matter."""
    np.testing.assert_allclose(flow.log_prob(given), flow.log_prob(X))


def test_integers_and_read_only_arrays_will_do(flow: Any) -> None:
    """Integers are accepted, and the input is not written to."""
    whole = np.array([[1, 2], [3, 4]], dtype=np.int16)
    whole.flags.writeable = False
    np.testing.assert_allclose(flow.log_prob(whole), flow.log_prob(whole.astype(float)))


def test_no_rows_give_no_rows(flow: Any) -> None:
    """Input of shape (0, d) gives (0,) and (0, d)."""
    assert flow.log_prob(np.empty((0, 2))).shape == (0,)
    assert flow.forward(np.empty((0, 2))).shape == (0, 2)
    assert flow.sample(0, seed=1).shape == (0, 2)


def test_nan_and_infinity_pass_through(flow: Any) -> None:
    """They affect only the row that holds them."""
    found = flow.log_prob([[np.nan, 0.0], [np.inf, 0.0], [0.0, 0.0]])
    assert np.isnan(found[0])
    assert found[1] == -np.inf
    assert np.isfinite(found[2])


def test_numbers_past_float32_become_infinite(flow: Any) -> None:
    """A float64 beyond the range of float32 is cast as numpy casts it, without a warning."""
    assert flow.log_prob([[1e300, 0.0]])[0] == -np.inf


@pytest.mark.parametrize(
    "frame", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"]
)
def test_frames_are_read_by_column_name(flow: Any, frame: Any) -> None:
    """The columns may have any order, with other columns between them."""
    table = frame({"id": ["a", "b", "c"], "x1": X[:, 1], "x0": X[:, 0]})
    np.testing.assert_allclose(flow.log_prob(table), flow.log_prob(X))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x0": pd.array([1, None], dtype="Int64"), "x1": [1.0, 2.0]}),
        pl.DataFrame({"x0": [1, None], "x1": [1.0, 2.0]}),
        pa.table({"x0": [1, None], "x1": [1.0, 2.0]}),
    ],
    ids=["pandas", "polars", "arrow"],
)
def test_nulls_in_frames_are_nan(flow: Any, frame: Any) -> None:
    """A missing number is NaN."""
    assert np.isnan(flow.log_prob(frame)).tolist() == [False, True]


class Unreadable:
    """An array-like whose conversion raises what it likes."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise KeyError("not now")


@pytest.mark.parametrize(
    "given",
    [
        Unreadable(),
        [[1.0], [1.0, 2.0]],
        [[10**400, 1]],
        pl.Series([1, 2], dtype=pl.Int128),
        np.ma.array([["1_0", "2"]]),
        np.ma.array([[10**400, 2]], dtype=object),
    ],
    ids=["unreadable", "ragged", "large", "128 bits", "masked text", "masked objects"],
)
def test_what_is_not_an_array_of_numbers_is_an_input_error(
    conditional_bundle: Path, given: Any
) -> None:
    """As rows, as a context and as the context of samples, whatever exception numpy gets."""
    flow = rnvp_runtime.load(conditional_bundle)
    for call in (
        lambda: flow.log_prob(given, [[0.0]]),
        lambda: flow.log_prob(X, given),
        lambda: flow.sample(2, seed=1, context=given),
        lambda: list(rnvp_runtime.sample_table(flow, 2, seed=1, context=given)),
    ):
        with pytest.raises(InputError, match=r"cannot be read|has dtype|has shape"):
            call()


def test_log_prob_of_a_pandas_frame_has_its_index(flow: Any) -> None:
    """The result is a Series called log_prob. For other inputs it is an array."""
    frame = pd.DataFrame(X, columns=["x0", "x1"], index=["a", "b", "c"])
    found = flow.log_prob(frame)
    pd.testing.assert_series_equal(
        found, pd.Series(flow.log_prob(X), index=["a", "b", "c"], name="log_prob")
    )
    assert isinstance(flow.log_prob(pl.DataFrame({"x0": [1.0], "x1": [2.0]})), np.ndarray)


def test_a_subclass_of_a_pandas_frame_has_an_index_too(flow: Any) -> None:
    """A class of one's own that derives from DataFrame is a DataFrame."""

    class Table(pd.DataFrame):
        pass

    frame = Table(X, columns=["x0", "x1"], index=["a", "b", "c"])
    assert flow.log_prob(frame).index.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(
    "rows",
    [X, X.tolist(), pd.DataFrame(X, columns=["x0", "x1"]), pl.DataFrame({"x0": [1], "x1": [2]})],
    ids=["array", "list", "pandas", "polars"],
)
def test_a_library_that_another_thread_imports_is_not_looked_into(
    flow: Any, rows: Any, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module without names yet does no harm to rows that are not frames of that library."""
    expected = np.asarray(flow.log_prob(rows))
    if type(rows).__module__.partition(".")[0] == library:
        pytest.skip("the library of a frame is imported")
    monkeypatch.setitem(sys.modules, library, ModuleType(library))
    np.testing.assert_array_equal(flow.log_prob(rows), expected)


def test_context_shifts_the_density(conditional_bundle: Path, affine: Any) -> None:
    """A conditional flow reads one row of context for each row."""
    flow = rnvp_runtime.load(conditional_bundle)
    context = np.array([[0.0], [1.0], [2.0]])
    expected = affine(context_dim=1).log_prob(X, context)
    np.testing.assert_allclose(flow.log_prob(X, context), expected, rtol=1e-5)
    np.testing.assert_allclose(flow.inverse(flow.forward(X, context), context), X, rtol=1e-5)


def test_context_comes_from_the_same_frame(conditional_bundle: Path) -> None:
    """Without a context argument, the context columns are read from the frame."""
    flow = rnvp_runtime.load(conditional_bundle)
    frame = pd.DataFrame({"c0": [0.0, 1.0, 2.0], "x0": X[:, 0], "x1": X[:, 1]})
    np.testing.assert_allclose(flow.log_prob(frame), flow.log_prob(X, frame[["c0"]]))


@pytest.mark.parametrize("threads", [1, 3])
def test_large_inputs_are_cut_into_tiles_without_a_seam(
    make_bundle: Make, affine: Any, threads: int
) -> None:
    """Rows computed over several tiles and threads agree with the closed form."""
    flow = rnvp_runtime.load(make_bundle(width=4096), threads=threads)  # tiles of 256
    x = np.random.default_rng(0).normal(size=(2000, 2))
    z, log_prob = flow.forward(x, return_log_prob=True)
    np.testing.assert_allclose(z, affine().z(x), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(log_prob, affine().log_prob(x), rtol=1e-4)


def test_large_frames_are_cut_into_tiles(make_bundle: Make) -> None:
    """A frame is tiled like an array."""
    flow = rnvp_runtime.load(make_bundle(width=4096))
    x = np.random.default_rng(0).normal(size=(700, 2))
    frame = pd.DataFrame(x, columns=["x0", "x1"])
    np.testing.assert_array_equal(flow.log_prob(frame), flow.log_prob(x))


def test_samples_are_the_rows_of_their_seed(flow: Any, affine: Any) -> None:
    """sample(n, seed, start) gives rows start ... start + n - 1 of the stream."""
    x, log_prob = flow.sample(5, seed=7, start=3, return_log_prob=True)
    expected = affine().x(affine().latents(7, 3, 5))
    np.testing.assert_allclose(x, expected, rtol=1e-5)
    np.testing.assert_allclose(log_prob, affine().log_prob(expected), rtol=1e-5)


def test_samples_do_not_depend_on_tiles_or_threads(make_bundle: Make) -> None:
    """Row i is equal for any division into calls, tiles and threads."""
    path = make_bundle(width=4096)
    whole = rnvp_runtime.load(path).sample(1500, seed=1)
    np.testing.assert_array_equal(rnvp_runtime.load(path, threads=3).sample(1500, seed=1), whole)
    cut = [rnvp_runtime.load(path).sample(500, seed=1, start=s) for s in (0, 500, 1000)]
    np.testing.assert_array_equal(np.concatenate(cut), whole)


def test_without_a_seed_each_call_differs(flow: Any) -> None:
    """The seed is drawn from the system's entropy."""
    assert not np.array_equal(flow.sample(20), flow.sample(20))


def test_seeds_are_64_bits(flow: Any) -> None:
    """An unsigned seed equals the negative one with the same bits. Larger seeds are refused."""
    np.testing.assert_array_equal(flow.sample(5, seed=2**64 - 1), flow.sample(5, seed=-1))
    with pytest.raises(InputError, match="does not fit 64 bits"):
        flow.sample(5, seed=2**64)


def test_temperature_scales_the_latents(flow: Any, affine: Any) -> None:
    """At temperature 0 every sample is the image of the origin."""
    np.testing.assert_allclose(flow.sample(3, seed=1, temperature=0), [affine().loc] * 3)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, 1e39])
def test_temperature_is_finite_and_not_negative(flow: Any, bad: float) -> None:
    """Other temperatures are refused."""
    with pytest.raises(InputError, match="temperature is"):
        flow.sample(3, temperature=bad)


@pytest.mark.parametrize(("n", "start"), [(-1, 0), (1, -1), (1, 2**63 - 1)])
def test_sample_rows_stay_within_int64(flow: Any, n: int, start: int) -> None:
    """The stream has rows 0 ... 2**63 - 2."""
    with pytest.raises(InputError, match="at least 0"):
        flow.sample(n, start=start)


@pytest.mark.parametrize("context", [[2.0], [[2.0]], [[2.0]] * 600], ids=["row", "matrix", "each"])
def test_sample_takes_one_context_or_one_a_row(
    make_bundle: Make, affine: Any, context: Any
) -> None:
    """A single row of context serves all samples."""
    flow = rnvp_runtime.load(make_bundle(context_dim=1, width=4096))
    expected = affine(context_dim=1).x(affine().latents(1, 0, 600), [[2.0]])
    np.testing.assert_allclose(flow.sample(600, seed=1, context=context), expected, rtol=1e-5)


@pytest.mark.parametrize("context", [[2.0], [[2.0]], [[2.0]] * 600], ids=["row", "matrix", "each"])
def test_every_method_takes_one_context_for_all_rows(make_bundle: Make, context: Any) -> None:
    """A single row, (c,) or (1, c), serves all rows, in tiles too."""
    flow = rnvp_runtime.load(make_bundle(context_dim=1, width=4096))
    x, each = np.random.default_rng(0).normal(size=(600, 2)), np.full((600, 1), 2.0)
    for method in (flow.log_prob, flow.forward, flow.inverse):
        np.testing.assert_array_equal(method(x, context), method(x, each))


def test_one_context_of_several_columns_may_be_flat(make_bundle: Make) -> None:
    """(c,) is one row of context, even if c equals the number of rows."""
    flow = rnvp_runtime.load(make_bundle(context_dim=3))
    flat = [0.5, 1.0, 2.0]
    np.testing.assert_array_equal(flow.log_prob(X, flat), flow.log_prob(X, [flat] * 3))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (X[0], r"shape \(2,\), expected \(n, 2\): pass x\[None\]"),
        (X[:, :1], r"shape \(3, 1\), expected \(n, 2\)"),
        (X[None], r"shape \(1, 3, 2\)"),
        (X.astype(object), "dtype object, expected numbers"),
        (X.astype(complex), "dtype complex128"),
        (X.astype(str), "expected numbers"),
        (None, r"dtype object, expected numbers: pass floats or integers of shape \(n, 2\)"),
        (pl.LazyFrame({"x0": [1.0], "x1": [1.0]}), r"a LazyFrame .* not in memory .* collect\(\)"),
        ([[1.0], [1.0, 2.0]], "cannot be read as an array"),
        (pd.DataFrame({"x0": [1.0], "X1": [1.0]}), r"no column 'x1' \(did you mean 'X1'\?\)"),
        (pd.DataFrame({"x0": [1.0], "x1": ["a"]}), "column 'x1'"),
        (pl.DataFrame({"x0": [1.0], "x1": ["a"]}), "column 'x1'"),
        (pd.DataFrame([[1, 2, 3]], columns=["x0", "x1", "x1"]), "more than one column 'x1'"),
    ],
)
def test_what_does_not_fit_is_refused(flow: Any, given: Any, said: str) -> None:
    """The InputError names what was found, and its text is one line."""
    with pytest.raises(InputError, match=said) as error:
        flow.log_prob(given)
    assert "\n" not in str(error.value)


def test_a_single_column_is_not_a_row(make_bundle: Make) -> None:
    """For d = 1 the error recommends x[:, None]."""
    with pytest.raises(InputError, match=r"pass x\[:, None\]"):
        rnvp_runtime.load(make_bundle(dim=1)).log_prob([1.0, 2.0])


def test_context_must_match_the_flow(flow: Any, conditional_bundle: Path) -> None:
    """Only a conditional flow takes context, with one row or one for each row of x."""
    conditional = rnvp_runtime.load(conditional_bundle)
    with pytest.raises(InputError, match="the flow takes none"):
        flow.log_prob(X, [[1.0]])
    with pytest.raises(InputError, match=r"needs context, \(n, 1\): c0"):
        conditional.log_prob(X)
    with pytest.raises(InputError, match="one, or one for each of the 3 rows of x"):
        conditional.log_prob(X, np.ones((2, 1)))
    with pytest.raises(InputError, match="one, or one for each of the 5 samples"):
        conditional.sample(5, context=np.ones((2, 1)))


def test_a_flow_says_what_it_is(flow: Any, bundle: Path) -> None:
    """The flow gives its names, its dimensions and its manifest."""
    assert flow.columns == ("x0", "x1")
    assert (flow.dim, flow.context_dim, flow.context_columns) == (2, 0, ())
    assert flow.manifest.id == "0123456789abcdef"
    assert flow.path == bundle
    assert repr(flow) == "<Flow model.rnvp: 2 columns, float32>"


def test_threads_are_at_least_one(bundle: Path) -> None:
    """Zero threads are refused."""
    with pytest.raises(InputError, match="threads is 0"):
        rnvp_runtime.load(bundle, threads=0)


def test_a_flow_pickles_as_its_path(bundle: Path) -> None:
    """The pickle holds the path and the threads, not the sessions."""
    flow = rnvp_runtime.load(bundle, threads=2)
    expected = flow.log_prob(X)
    content = pickle.dumps(flow)
    again = pickle.loads(content)
    assert len(content) < 1000
    assert again.threads == 2
    np.testing.assert_array_equal(again.log_prob(X), expected)


def test_a_flow_works_in_spawned_processes(flow: Any) -> None:
    """A bound method of a flow can be sent to a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(flow.log_prob, [X])[0]
        pool.close()
        pool.join()
    np.testing.assert_array_equal(found, flow.log_prob(X))


def test_threads_may_share_a_flow(flow: Any) -> None:
    """Calls from several threads give the same numbers."""
    found: list[Any] = []
    workers = [threading.Thread(target=lambda: found.append(flow.log_prob(X))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(np.array_equal(f, found[0]) for f in found)
    assert len(found) == 4


def test_only_the_graph_in_use_is_opened(make_bundle: Make) -> None:
    """A bundle without its sampler still scores, and sampling names the missing file."""
    path = make_bundle()
    (path / "sampler.onnx").unlink()
    flow = rnvp_runtime.load(path)
    assert flow.log_prob(X).shape == (3,)
    with pytest.raises(BundleError, match=r"has no sampler\.onnx"):
        flow.sample(1)


def test_an_altered_graph_is_not_opened(make_bundle: Make) -> None:
    """The hash is checked on the bytes that the engine would run."""
    path = make_bundle()
    content = (path / "density.onnx").read_bytes()
    (path / "density.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match="sha256 differs"):
        rnvp_runtime.load(path).log_prob(X)


def test_an_old_onnxruntime_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the version found and the version needed."""
    monkeypatch.setattr("onnxruntime.__version__", "1.9.2")
    with pytest.raises(
        BundleError, match=r"onnxruntime 1\.9\.2 is too old, this bundle needs 1\.21"
    ):
        rnvp_runtime.load(bundle).log_prob(X)


def test_a_flat_context_for_one_condition_says_how_to_shape_it(conditional_bundle: Path) -> None:
    """For one condition n numbers are n rows, so the error recommends context[:, None]."""
    flow = rnvp_runtime.load(conditional_bundle)
    assert flow.context_dim == 1
    with pytest.raises(InputError, match=r"context\[:, None\]"):
        flow.sample(3, context=np.zeros(3))
    with pytest.raises(InputError, match=r"flow\.context_columns, 1 in all"):
        flow.sample(3, context=np.zeros((3, 2)))
