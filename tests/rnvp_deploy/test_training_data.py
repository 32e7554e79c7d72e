"""The warnings about the columns of a table before training."""

import logging
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnvp_deploy import RNVP, RNVPConfig, TrainingOptions, fit
from rnvp_deploy.errors import TrainingError
from rnvp_deploy.training import DataWarning, suggested_options
from rnvp_deploy.training.column_kinds import column_kind
from rnvp_deploy.training.degenerate import find_degenerate
from rnvp_runtime.errors import InputError

Array = NDArray[np.float64]
ROWS = 2000
QUICK = TrainingOptions(epochs=1)


def draws(seed: int = 0) -> np.random.Generator:
    """A random generator."""
    return np.random.default_rng(seed)


def healthy(columns: int = 3) -> Array:
    """(2000, columns) rows that give no warning."""
    return draws(1).normal(5.0, 1.0, size=(ROWS, columns))


def found(**columns: NDArray[Any]) -> tuple[DataWarning, ...]:
    """The warnings about two good columns, a and b, and these."""
    a, b = healthy(2).T
    table = {"a": a, "b": b, **columns}
    return find_degenerate(np.stack(list(table.values()), axis=1).astype(float), tuple(table))


def test_good_columns_give_no_warning() -> None:
    """Five independent normal columns give no warning."""
    assert find_degenerate(healthy(5), tuple("abcde")) == ()


@pytest.mark.parametrize(
    ("column", "kind", "option"),
    [
        (draws().poisson(3, ROWS), "integer", "--integer v"),
        (draws().integers(0, 2, ROWS), "integer", "--integer v"),
        (draws().integers(-900, 900, ROWS), "integer", "--integer v"),
        (np.round(draws().normal(size=ROWS), 1), "few values", ""),
        (
            np.where(draws().random(ROWS) < 0.3, 0.0, draws(1).normal(size=ROWS)),
            "repeated value",
            "",
        ),
        (draws().beta(0.8, 1.2, ROWS), "unit interval", "--logit v"),
        (draws().random(ROWS), "unit interval", "--logit v"),
        (draws().lognormal(8, 1, ROWS), "positive", "--log v"),
        (draws().exponential(1e-9, ROWS), "positive", "--log v"),
        (draws().standard_cauchy(ROWS), "heavy tail", ""),
        (draws().normal(1.7e9, 1e5, ROWS), "offset", "--dtype float64"),
    ],
)
def test_a_degenerate_column_is_named(column: Array, kind: str, option: str) -> None:
    """There is one warning, with the kind, the column's name and the option that helps."""
    (warning,) = found(v=column)
    assert (warning.kind, warning.columns) == (kind, ("v",))
    assert "column 'v'" in warning.message
    assert suggested_options([warning]) == option


def test_columns_of_one_kind_share_a_warning() -> None:
    """Two integer columns give one warning and one option."""
    (warning,) = found(n=draws().poisson(3, ROWS), m=draws().poisson(9, ROWS))
    assert warning.message.startswith("columns 'n', 'm' hold integers only")
    assert suggested_options([warning]) == "--integer n,m"


def test_the_suggestion_is_one_line_of_options() -> None:
    """Each option of the command line appears once, and names are quoted for a shell."""
    warnings = found(
        price=draws().lognormal(8, 1, ROWS),
        share=draws().random(ROWS),
        n_hits=draws().poisson(3, ROWS),
        **{"width, mm": draws().exponential(1, ROWS)},
    )
    assert suggested_options(warnings) == (
        """--integer n_hits --logit share --log 'price,"width, mm"'"""
    )


def test_a_column_twice_is_a_copy() -> None:
    """The suggestion is to exclude the later column, and there is no other warning."""
    (warning,) = found(again=healthy(2)[:, 0])
    assert (warning.kind, warning.columns) == ("copy", ("a", "again"))
    assert "'again' is a copy of 'a'" in warning.message
    assert suggested_options([warning]) == "--exclude again"


def test_many_functions_of_other_columns_are_one_warning() -> None:
    """Twelve copies are listed in one line, and so are twelve linear functions."""
    x = healthy(3)
    copies = {f"again_{i}": x[:, 0] for i in range(12)}
    sums = {f"sum_{i}": x[:, 0] + (i + 2) * x[:, 1] for i in range(12)}
    table = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], **copies, **sums}
    warnings = find_degenerate(np.stack(list(table.values()), axis=1), tuple(table))
    assert [warning.kind for warning in warnings] == ["copy", "linear"]
    assert "'again_7' (of 'a') and 4 more are copies" in warnings[0].message
    assert "'sum_7' and 4 more are linear functions of other columns" in warnings[1].message
    excluded = suggested_options(warnings).removeprefix("--exclude ").split(",")
    assert excluded == [*copies, *sums]


def test_one_hot_columns_are_a_group() -> None:
    """Two encoded categories are two groups, and neither is reported as integers."""
    colour, size = draws().integers(0, 3, ROWS), draws(1).integers(0, 4, ROWS)
    warnings = found(
        **{f"colour_{i}": colour == i for i in range(3)},
        **{f"size_{i}": size == i for i in range(4)},
    )
    assert [warning.kind for warning in warnings] == ["one-hot", "one-hot"]
    assert warnings[0].columns == ("colour_0", "colour_1", "colour_2")
    assert warnings[1].columns == ("size_0", "size_1", "size_2", "size_3")


@given(
    weights=st.lists(st.floats(0.1, 10), min_size=1, max_size=4),
    offset=st.floats(-1e3, 1e3),
    digits=st.sampled_from([6, 12]),
)
def test_a_linear_function_of_other_columns_is_found(
    weights: list[float], offset: float, digits: int
) -> None:
    """It is found in any units and after rounding, and the warning names the other columns."""
    x = healthy(len(weights) + 2)
    total = np.round(x[:, : len(weights)] @ np.array(weights) + offset, digits)
    names = tuple(f"v{i}" for i in range(x.shape[1]))
    warnings = find_degenerate(np.column_stack([x, total]), (*names, "total"))
    (warning,) = (w for w in warnings if w.kind == "linear")
    assert warning.columns == (*names[: len(weights)], "total")


def test_strong_correlation_is_not_a_linear_function() -> None:
    """A correlation of 0.9999 gives no warning."""
    a = healthy(1)[:, 0]
    x = np.stack([a, a + 0.01 * draws().normal(size=ROWS)], axis=1)
    assert find_degenerate(x, ("a", "b")) == ()


def test_heavy_tails_are_not_a_linear_function() -> None:
    """A few extreme rows dominate the correlation, but not the typical residual."""
    a = draws().standard_cauchy(ROWS) ** 3
    x = np.stack([a, a + draws(1).normal(size=ROWS)], axis=1)
    assert {warning.kind for warning in find_degenerate(x, ("a", "b"))} == {"heavy tail"}


def test_a_function_of_the_context_is_found() -> None:
    """The density of x given the context would be infinite."""
    context = healthy(2)
    x = np.stack([context[:, 0] + context[:, 1], draws(2).normal(size=ROWS)], axis=1)
    (warning,) = find_degenerate(x, ("sum", "x"), context, ("c", "d"))
    assert (warning.kind, warning.columns) == ("linear", ("c", "d", "sum"))


def test_the_context_may_be_of_any_kind() -> None:
    """Integers, one-hot groups and copies among the context columns give no warning."""
    category = draws().integers(0, 3, ROWS)
    context = np.stack([category == 0, category == 1, category == 2, category, category], axis=1)
    assert find_degenerate(healthy(2), ("a", "b"), context.astype(float), tuple("cdefg")) == ()


def test_fewer_rows_than_columns_are_noticed() -> None:
    """Any column is then a linear function of the others; only this is reported."""
    (warning,) = find_degenerate(healthy(30)[:20], tuple(f"x{i}" for i in range(30)))
    assert warning.kind == "few rows"


@given(scale=st.floats(1e-20, 1e20), seed=st.integers(0, 5))
def test_the_unit_does_not_change_the_kind(scale: float, seed: int) -> None:
    """A skewed positive column and a normal one keep their kind in any unit."""
    assert column_kind(draws(seed).lognormal(0, 1, 500) * scale) in ("positive", "unit interval")
    assert column_kind(draws(seed).normal(9, 1, 500) * scale) == "continuous"


def test_fit_warns_before_it_trains(caplog: pytest.LogCaptureFixture) -> None:
    """The warning goes to the rnvp_deploy logger and into the result."""
    x = np.stack([healthy(1)[:, 0], draws().poisson(2, ROWS)], axis=1)
    flow = RNVP(RNVPConfig(dim=2, couplings=1, hidden=(4,)), ("a", "n"))
    with caplog.at_level(logging.WARNING, "rnvp_deploy"):
        training = fit(flow, x, options=QUICK)
    (warning,) = training.warnings
    assert warning.columns == ("n",)
    assert caplog.messages == [warning.message]


FRAMES: dict[str, Any] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}


def table_of(*names: str) -> dict[str, Array]:
    """Columns of numbers with these names."""
    return dict(zip(names, healthy(len(names)).T, strict=True))


@pytest.mark.parametrize("kind", FRAMES)
def test_a_flow_takes_the_names_of_a_data_frame(kind: str) -> None:
    """A flow with default names takes the names of the columns."""
    flow = RNVP(RNVPConfig(dim=3, couplings=1, hidden=(4,)))
    fit(flow, FRAMES[kind](table_of("carat", "depth", "price")), options=QUICK)
    assert flow.columns == ("carat", "depth", "price")


def test_text_columns_of_a_data_frame_are_left_out() -> None:
    """The data frame has as many columns of numbers as the flow."""
    flow = RNVP(RNVPConfig(dim=2, couplings=1, hidden=(4,)))
    fit(flow, pd.DataFrame({**table_of("carat", "price"), "cut": ["Ideal"] * ROWS}), options=QUICK)
    assert flow.columns == ("carat", "price")


def test_a_flow_takes_the_names_of_its_context_too() -> None:
    """The context may be a data frame of its own."""
    flow = RNVP(RNVPConfig(dim=2, context_dim=1, couplings=1, hidden=(4,)))
    frame = pd.DataFrame(table_of("x", "y", "energy"))
    fit(flow, frame[["x", "y"]], frame[["energy"]], options=QUICK)
    assert (flow.columns, flow.context_columns) == (("x", "y"), ("energy",))


def test_the_flows_own_names_are_kept() -> None:
    """A flow keeps chosen names, and default names that the data frame has."""
    named = RNVP(RNVPConfig(dim=2, couplings=1, hidden=(4,)), ("price", "carat"))
    fit(named, pd.DataFrame(table_of("carat", "depth", "price")), options=QUICK)
    assert named.columns == ("price", "carat")
    default = RNVP(RNVPConfig(dim=2, couplings=1, hidden=(4,)))
    fit(default, pd.DataFrame(table_of("x1", "extra", "x0")), options=QUICK)
    assert default.columns == ("x0", "x1")


@pytest.mark.parametrize("names", [("carat",), ("carat", "depth", "price")])
def test_a_data_frame_of_another_width_is_refused(names: tuple[str, ...]) -> None:
    """The message has both widths; the flow keeps its names."""
    flow = RNVP(RNVPConfig(dim=2))
    with pytest.raises(InputError, match=f"{len(names)} columns of numbers, expected 2"):
        fit(flow, pd.DataFrame(table_of(*names)))
    assert flow.columns == ("x0", "x1")


def test_a_refused_table_does_not_change_the_names() -> None:
    """Names are taken only when training starts."""
    flow = RNVP(RNVPConfig(dim=2))
    frame = pd.DataFrame({"a": [1.0, math.nan] * 50, "b": np.arange(100.0)})
    with pytest.raises(TrainingError, match="no finite number"):
        fit(flow, frame)
    assert flow.columns == ("x0", "x1")


def test_log_is_not_suggested_for_values_on_a_bound() -> None:
    """``--log`` of a column that holds 0 would be refused: its values must be moved first."""
    column = np.concatenate([[0.0], draws().lognormal(8, 1, ROWS - 1)])
    (warning,) = found(v=column)
    assert "move the values at exactly 0" in warning.message
    assert suggested_options([warning]) == ""
