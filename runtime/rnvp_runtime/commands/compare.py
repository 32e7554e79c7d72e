"""``rnvp-compare``: what differs between two bundles."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnvp_runtime.terminal.columns import align_columns
from rnvp_runtime.terminal.missing_option import missing_option
from rnvp_runtime.terminal.user_errors import UserErrorCommand

if TYPE_CHECKING:
    from rnvp_runtime.comparison import Difference, ScoreComparison

_WIDEST = 60  # characters of a value


@click.command(cls=UserErrorCommand)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.argument("table", required=False)
@missing_option
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Rows that move most to name.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The comparison as JSON on stdout.")
@click.version_option(package_name="rnvp-deploy")
def compare(
    a: Path,
    b: Path,
    table: str | None,
    missing: tuple[str, ...],
    rows: int,
    threads: int,
    as_json: bool,
) -> None:
    """Show what differs between the bundles A and B: columns, architecture, provenance, parity.

    With TABLE, both flows score its rows. Shown are the mean and quantiles of log_prob, in nats,
    the rank correlation of the scores, and the rows whose difference is farthest from the median
    difference. TABLE is any table that rnvp-score reads.

    \b
    Examples:
      rnvp-compare model.rnvp new.rnvp
      rnvp-compare model.rnvp new.rnvp data.csv
    """
    from rnvp_runtime.comparison import compare_manifests, compare_scores
    from rnvp_runtime.flow import load
    from rnvp_runtime.tables import open_table

    one, other = load(a, threads=threads), load(b, threads=threads)
    found = compare_manifests(one.manifest, other.manifest)
    scores = None
    if table is not None:
        scores = compare_scores(one, other, open_table(table, missing=missing), moved=rows)
    if as_json:
        click.echo(json.dumps(_record(a, b, found, scores), ensure_ascii=False, allow_nan=False))
        return
    click.echo("\n".join(_differences(a, b, found)))
    if scores is not None:
        click.echo("\n".join(["", *_scores(scores)]))


def _record(
    a: Path, b: Path, found: "list[Difference]", scores: "ScoreComparison | None"
) -> dict[str, object]:
    from rnvp_runtime.comparison import LEVELS

    record: dict[str, object] = {
        "a": str(a),
        "b": str(b),
        "differences": {d.what: {"a": d.a, "b": d.b} for d in found},
        "scores": None,
    }
    if scores is not None:
        correlation = scores.rank_correlation
        record["scores"] = {
            **asdict(scores),
            "quantiles": dict(zip(map(str, LEVELS), scores.quantiles, strict=True)),
            "rank_correlation": None if math.isnan(correlation) else correlation,
            "unit": "nats",
        }
    return record


def _differences(a: Path, b: Path, found: "list[Difference]") -> list[str]:
    if not found:
        return [f"{a} and {b} are the same flow, exported in the same way."]
    rows = [(d.what, _short(d.a), _short(d.b)) for d in found]
    return ["What differs:", *align_columns([("", f"A: {a}", f"B: {b}"), *rows])]


def _short(text: str) -> str:
    text = text or "none"
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _scores(scores: "ScoreComparison") -> list[str]:
    from rnvp_runtime.comparison import LEVELS

    left_out = f" ({scores.left_out:,} without a finite one left out)" if scores.left_out else ""
    named = [("mean", scores.mean), *zip(map(_level, LEVELS), scores.quantiles, strict=True)]
    lines = [
        f"log_prob of {scores.rows:,} rows{left_out}, nats:",
        *align_columns([("", "A", "B", "B - A"), *(_numbers(n, *pair) for n, pair in named)]),
        f"Rank correlation: {scores.rank_correlation:.4f}",
    ]
    if scores.moved:
        moved = [_numbers(f"{row.row:,}", row.a, row.b) for row in scores.moved]
        lines += ["", "Rows that move most:", *align_columns([("row", "A", "B", "B - A"), *moved])]
    return lines


def _level(level: float) -> str:
    return "median" if level == 0.5 else f"{100 * level:g} % below"


def _numbers(name: str, a: float, b: float) -> tuple[str, ...]:
    return name, f"{a:.6g}", f"{b:.6g}", f"{b - a:+.3g}"
