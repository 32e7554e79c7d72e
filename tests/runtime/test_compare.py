"""``rnvp-compare`` shows the differences between two bundles."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

import rnvp_runtime
from rnvp_runtime import Manifest, TableError
from rnvp_runtime.commands.compare import compare
from rnvp_runtime.comparison import LEVELS, compare_manifests, compare_scores


@pytest.fixture
def other(make_bundle: Any) -> Path:
    """A float64 flow of the same columns with one context column."""
    path: Path = make_bundle("other.rnvp", context_dim=1, dtype="float64")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows for both flows with many ties; one row has a gap."""
    draw = np.random.default_rng(0)
    rows = pd.DataFrame(draw.integers(-2, 3, (500, 2)), columns=["x0", "x1"]).astype(float)
    rows["c0"] = draw.normal(size=500)
    rows.loc[7, "x0"] = np.nan
    rows.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def run(*args: object) -> Any:
    """Run the command with these arguments."""
    return CliRunner().invoke(compare, [str(argument) for argument in args])


def test_a_bundle_does_not_differ_from_itself(bundle: Path) -> None:
    """The command says that the flows are the same."""
    assert compare_manifests(Manifest.read(bundle), Manifest.read(bundle)) == []
    assert "are the same flow" in run(bundle, bundle).stdout


def test_what_differs_is_listed(bundle: Path, other: Path) -> None:
    """Context and dtype differ and are listed; the equal columns are not."""
    found = {d.what: (d.a, d.b) for d in compare_manifests(*map(Manifest.read, (bundle, other)))}
    assert found["context"] == ("", "c0")
    assert found["dtype"] == ("float32", "float64")
    assert "columns" not in found
    rows = [line.split() for line in run(bundle, other).stdout.splitlines()]
    assert ["context", "none", "c0"] in rows


def test_parity_and_provenance_are_compared(bundle: Path) -> None:
    """A failed parity and another version are listed."""
    a = Manifest.read(bundle)
    parity = (dataclasses.replace(a.parity[0], passed=False), *a.parity[1:])
    b = dataclasses.replace(a, parity=parity, versions={"rnvp-deploy": "0.2.0"})
    found = {d.what: d.b for d in compare_manifests(a, b)}
    name = f"parity, {a.parity[0].graph} {a.parity[0].output} onnx"
    assert found == {name: "ratio 1.00 FAILED", "made by rnvp-deploy": "0.2.0"}


def test_scores_are_compared_over_rows_that_both_have(
    bundle: Path, other: Path, table: Path
) -> None:
    """Means and quantiles agree with numpy, the rank correlation with scipy, ties included."""
    flows = rnvp_runtime.load(bundle), rnvp_runtime.load(other)
    found = compare_scores(*flows, table, moved=3)
    rows = pd.read_csv(table).dropna()
    a = flows[0].log_prob(rows[["x0", "x1"]]).astype(float)
    b = flows[1].log_prob(rows)
    assert (found.rows, found.left_out) == (499, 1)
    assert found.mean == pytest.approx((a.mean(), b.mean()))
    np.testing.assert_allclose(found.quantiles, np.quantile([a, b], LEVELS, axis=1))
    assert found.rank_correlation == pytest.approx(stats.spearmanr(a, b).statistic)
    shift = np.abs(b - a - np.median(b - a))
    assert [row.row - 1 for row in found.moved] == list(rows.index[np.argsort(-shift)[:3]])


def test_the_command_tells_the_scores_as_text_and_as_json(
    bundle: Path, other: Path, table: Path
) -> None:
    """Both forms name the row of the table that moves most."""
    told = run(bundle, other, table, "--rows", 2).stdout
    record = json.loads(run(bundle, other, table, "--rows", 2, "--json").stdout)
    assert "log_prob of 499 rows (1 without a finite one left out), nats:" in told
    assert f"Rank correlation: {record['scores']['rank_correlation']:.4f}" in told
    assert f"\n  {record['scores']['moved'][0]['row']} " in told
    assert record["differences"]["dtype"] == {"a": "float32", "b": "float64"}


def test_a_table_without_numbers_is_refused(bundle: Path, tmp_path: Path) -> None:
    """At least one row must have a finite log_prob in both flows."""
    (tmp_path / "t.csv").write_text("x0,x1\n1,\n")
    flow = rnvp_runtime.load(bundle)
    with pytest.raises(TableError, match="no row with a finite log_prob in both flows"):
        compare_scores(flow, flow, tmp_path / "t.csv")
