"""``python -m benchmarks``: measure, and write what was found under ``results/``."""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.flows import FLOWS
from benchmarks.measuring import FUNCTIONS, ROWS, Plan, run
from benchmarks.racing import Pace
from benchmarks.results import RESULTS, Results


def main() -> None:
    """Measure, or with --targets compare the last results with the targets."""
    options = _arguments()
    if not options.targets:
        _measure(options)
    from benchmarks.targets import table

    print(table(Results.read(options.output / "results.json")))


def _measure(options: argparse.Namespace) -> None:
    from benchmarks import chart, tables

    plan = Plan(
        flows=[FLOWS[name] for name in options.flows],
        functions=options.functions,
        rows=options.rows or (ROWS[:-1] if options.quick else ROWS),
        pace=Pace(3, 0.01) if options.quick else Pace(options.rounds, options.turn),
        starts=2 if options.quick else 7,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "results.json"
    # benchmarks.scoring measures these separately, for minutes.
    scoring = Results.read(path).scoring if path.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        for results in run(plan, Path(folder), lambda line: print(line, file=sys.stderr)):
            results.scoring = scoring
            results.write(path)
            page = tables.document(results)
            (options.output / "results.md").write_text(page, encoding="utf-8")
            chart.draw(results, options.output / "results.png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="3 short rounds, at most 4,096 rows")
    parser.add_argument("--targets", action="store_true", help="only compare the last results")
    parser.add_argument("--flows", nargs="+", choices=FLOWS, default=list(FLOWS))
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=FUNCTIONS)
    parser.add_argument("--rows", nargs="+", type=int, help=f"default: {ROWS}")
    parser.add_argument(
        "--rounds", type=int, default=Pace.rounds, help="turns of each (%(default)s)"
    )
    parser.add_argument(
        "--turn", type=float, default=Pace.turn, help="seconds a turn (%(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
