"""Dask, Ray and Spark compared with the plain commands: equal rows, and the cost of a job.

    python -m tests.scale.clusters BUNDLE --rows 5e6 --write      into docs/scaling.md
    python -m tests.scale.clusters BUNDLE --rows 5e6 dask         this engine alone

Each job is a separate process, which starts the engine with two worker processes. The seconds are
those of the whole process. The CPU seconds include all processes below it. The plain command scores
on two threads. Jobs of ``rows`` and of a fifth of them run in turns. The line through the medians
of both gives the fixed cost of a job and the cost of a row. All results are compared with the plain
command's, bit for bit:

- scores, and scores of a job in which a worker is killed when half of the files are written,
- samples in 3 and in 16 partitions, with those of the single stream.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnvp_runtime
from tests.pages import measured_here, write_measured
from tests.scale.job_costs import Costs, Seconds, timed
from tests.scale.killing import COMMAND

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
FILES = 16
PLAIN = "plain"
PARTITIONS = (3, 16)
PACKAGES = {"dask": "dask", "ray": "ray", "spark": "pyspark"}


@dataclass(frozen=True)
class Inputs:
    """The tables to score, and the jobs that run on them."""

    bundle: Path
    folder: Path
    rows: int

    @property
    def tables(self) -> Path:
        """The path of the folder of Parquet files."""
        return self.folder / f"{self.rows} rows"

    def write(self) -> None:
        """Write the tables with an id and the columns of the flow."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.tables.mkdir()
        generator, columns = np.random.default_rng(0), rnvp_runtime.load(self.bundle).columns
        bounds = [self.rows * i // FILES for i in range(FILES + 1)]
        for i, (low, high) in enumerate(pairwise(bounds)):
            table: dict[str, NDArray[Any]] = {"id": np.arange(low, high)}
            for name in columns:
                table[name] = generator.standard_normal(high - low, np.float32)
            pq.write_table(pa.table(table), self.tables / f"{i:02}.parquet")

    def score(self, engine: str, output: Path, *options: object) -> Seconds:
        """Score the tables into ``output``."""
        return self._run(engine, "score", self.tables, output, *options)

    def sample(self, engine: str, output: Path, *options: object) -> Seconds:
        """Draw ``rows`` rows into ``output``."""
        return self._run(engine, "sample", self.rows, output, *options)

    def _run(
        self, engine: str, verb: str, given: object, output: Path, *options: object
    ) -> Seconds:
        command: list[object] = [sys.executable]
        if engine != PLAIN:
            command += ["-m", "tests.scale.cluster_job", engine, verb, self.bundle, given, output]
        else:
            command += ["-c", COMMAND.format(verb), self.bundle, "-o", f"{output}/", "--threads", 2]
            if verb == "score":
                command += [f"{given}/"]
            else:
                command += ["-n", given, "--seed", 7, "--shards", 2, "--format", "parquet"]
        return timed([str(part) for part in (*command, *options)])


def log_probs(folder: Path, rows: int) -> NDArray[Any]:
    """The log_prob of rows 0 ... ``rows - 1``, sorted by id; each id must occur once."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder, columns=["id", "log_prob"])
    ids, found = table["id"].to_numpy(), table["log_prob"].to_numpy()
    order = np.argsort(ids)
    np.testing.assert_array_equal(ids[order], np.arange(rows))
    return found[order]


def ordered_samples(folder: Path, columns: Sequence[str]) -> NDArray[Any]:
    """The samples in ``folder``, (n, d) float32, in an order that depends only on their bits."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder, columns=list(columns))
    rows = np.stack([table[name].to_numpy() for name in columns])
    return rows[:, np.lexsort(rows.view(np.uint32))].T


def parquet_files(folder: Path) -> int:
    """The number of Parquet files that a job has written."""
    return len(list(folder.rglob("*.parquet")))


def measured(inputs: Sequence[Inputs], engines: Sequence[str], rounds: int) -> dict[str, Costs]:
    """Measure the costs of scoring, and compare every result with the plain command's first one."""
    costs = {engine: Costs() for engine in engines}
    known: dict[int, NDArray[Any]] = {}
    for _ in range(rounds):
        for given in inputs:
            for engine in engines:
                output = given.folder / "job" / "scored"
                output.parent.mkdir()
                seconds = given.score(engine, output)
                found = log_probs(output, given.rows)
                shutil.rmtree(output.parent)
                np.testing.assert_array_equal(found, known.setdefault(given.rows, found))
                costs[engine].add(given.rows, seconds)
                print(f"{engine}, {given.rows:,} rows: {seconds}", file=sys.stderr)
    return costs


def check_killed(given: Inputs, engines: Sequence[str]) -> None:
    """A worker is killed half-way. Each row occurs once, with the plain command's number."""
    given.score(PLAIN, given.folder / "plain")
    known = log_probs(given.folder / "plain", given.rows)
    for engine in engines:
        output = given.folder / "job" / "scored"
        output.parent.mkdir()
        given.score(engine, output)
        half = parquet_files(output) // 2
        shutil.rmtree(output)
        given.score(engine, output, "--kill", half)
        np.testing.assert_array_equal(log_probs(output, given.rows), known)
        shutil.rmtree(output.parent)
        print(f"{engine}: a worker killed after {half} files, all rows equal", file=sys.stderr)
    shutil.rmtree(given.folder / "plain")


def check_samples(given: Inputs, engines: Sequence[str]) -> None:
    """Samples in any partitions are the samples of the single stream."""
    columns = rnvp_runtime.load(given.bundle).columns
    given.sample(PLAIN, given.folder / "plain")
    known = ordered_samples(given.folder / "plain", columns)
    assert len(known) == given.rows
    for engine in engines:
        for partitions in PARTITIONS:
            given.sample(engine, given.folder / "drawn", "--partitions", partitions)
            found = ordered_samples(given.folder / "drawn", columns)
            np.testing.assert_array_equal(found, known)
            shutil.rmtree(given.folder / "drawn")
            print(f"{engine}: samples in {partitions} partitions are equal", file=sys.stderr)
    shutil.rmtree(given.folder / "plain")


def table(costs: dict[str, Costs], rows: int, columns: int, rounds: int, load: float) -> str:
    """The costs as a table of the page, and how they were measured."""
    lines = [
        f"| | start, s | start, CPU s | a row, µs | a row, CPU µs | {rows:,} rows, s | rows/s |",
        "|---" * 7 + "|",
    ]
    for engine, found in costs.items():
        name = f"{engine} {version(PACKAGES[engine])}" if engine in PACKAGES else "`rnvp-score`"
        (start, slope), (cpu_start, cpu_slope) = found.line("clock"), found.line("cpu")
        whole = found.median(rows, "clock")
        lines.append(
            f"| {name} | {start:.1f} | {cpu_start:.1f} | {1e6 * slope:.2f} | {1e6 * cpu_slope:.2f} "
            f"| {whole:.1f} | {rows / whole:,.0f} |"
        )
    few = min(next(iter(costs.values())).jobs)
    lines += [
        "",
        f"{measured_here()}: {columns} columns of float32 "
        f"in {FILES} Parquet files, scored into Parquet by two worker processes; the medians of "
        f"{rounds} jobs of {few:,} and of {rows:,} rows in turns, and the line through both. The "
        f"machine had other work: its load average was {load:.0f}.",
        "",
        "All results were bit for bit those of the plain commands: the scores, those of a job of "
        f"which a worker was killed when half of the files were written, and {rows:,} samples in "
        f"{' and in '.join(map(str, PARTITIONS))} partitions.",
    ]
    return "\n".join(lines)


def estimate(costs: dict[str, Costs], columns: int) -> str:
    """The time that 10¹² rows would take, from the CPU seconds of a row."""
    lines = ["| scoring with | 10⁹ rows, CPU hours | 10¹² rows, CPU days | on 1,000 cores, hours |"]
    lines.append("|---" * 4 + "|")
    for engine, found in costs.items():
        _, cpu = found.line("cpu")
        hours, days = 1e9 * cpu / 3600, 1e12 * cpu / 86400
        lines.append(f"| {engine} | {hours:.1f} | {days:,.0f} | {days * 24 / 1000:.1f} |")
    size = f"{4e12 * (columns + 1) / 1e12:.0f} TB"
    note = f"{columns} columns and log_prob as float32: {size} of Parquet for 10¹² rows."
    return "\n".join([*lines, "", note])


def main() -> None:
    """Run the command that the module's docstring describes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=", ".join(PACKAGES))
    parser.add_argument("--rows", type=float, default=5e6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the table into docs/scaling.md")
    options = parser.parse_args()
    engines, rows = options.engines or list(PACKAGES), int(options.rows)
    with tempfile.TemporaryDirectory() as folder:
        inputs = [Inputs(options.bundle, Path(folder), n) for n in (rows // 5, rows)]
        for given in inputs:
            given.write()
        check_killed(inputs[1], engines)
        check_samples(inputs[1], engines)
        costs = measured(inputs, [PLAIN, *engines], options.rounds)
        load = os.getloadavg()[2]
    columns = len(rnvp_runtime.load(options.bundle).columns)
    text = table(costs, rows, columns, options.rounds, load)
    print(text, estimate(costs, columns), sep="\n\n")
    if options.write:
        write_measured(PAGE, "tests.scale.clusters", text)
        write_measured(PAGE, "tests.scale.clusters, 10¹² rows", estimate(costs, columns))


if __name__ == "__main__":
    main()
