"""Sharded sampling and scoring of folders: the files, and a second run."""

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import rnvp_runtime
from rnvp_runtime.commands.sample import sample
from rnvp_runtime.commands.score import score
from rnvp_runtime.errors import InputError, OutputError
from rnvp_runtime.sampling import BATCH_ROWS
from rnvp_runtime.shards import sample_shards, score_folder
from rnvp_runtime.stream_parts import part_bounds, sample_part
from rnvp_runtime.terminal.job_progress import progress_text
from tests.runtime.conftest import bundle, conditional_bundle, flow, make_bundle
from tests.scale.killing import both, contents
from tests.scale.memory import sampling, scoring

__all__ = ["bundle", "conditional_bundle", "flow", "make_bundle"]


def run(command: Any, *arguments: object) -> Result:
    """Run a command and return its result."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def data_of(folder: Path) -> bytes:
    """The lines of the CSV files of ``folder`` below one header."""
    texts = [path.read_bytes() for path in sorted(folder.glob("part-*.csv"))]
    header = texts[0].partition(b"\n")[0] + b"\n"
    return header + b"".join(text.removeprefix(header) for text in texts)


@given(st.integers(0, 10**12), st.integers(1, 200))
def test_parts_are_nearly_equal_and_leave_no_row_out(rows: int, parts: int) -> None:
    """The parts follow one another from row 0 to the last and differ by one row at most."""
    bounds = part_bounds(rows, parts)
    sizes = {high - low for low, high in pairwise(bounds)}
    assert (bounds[0], bounds[-1]) == (0, rows)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (0, 1), (65535, 65537), (70000, 140000), (139999, 140000), (9, 9)]
)
def test_a_part_has_the_rows_of_the_whole(flow: rnvp_runtime.Flow, low: int, high: int) -> None:
    """The rows of a part equal those of the unbroken stream, bit for bit."""
    n = 140000
    options: dict[str, Any] = {"seed": 3, "start": 11, "log_prob": True}
    whole = list(rnvp_runtime.sample_table(flow, n, **options))
    part = list(sample_part(flow, low, high, n, **options))
    for name in ("x", "log_prob"):
        expected = np.concatenate([getattr(rows, name) for rows in whole])[low:high]
        assert np.concatenate([getattr(rows, name) for rows in part]).tobytes() == (
            expected.tobytes()
        )


def test_a_part_is_computed_in_the_calls_of_the_whole(
    flow: rnvp_runtime.Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls have the same batches, since an engine may round differently for others."""
    calls: list[tuple[int, int]] = []
    compute = type(flow).sample

    def noted(self: Any, n: int, **options: Any) -> Any:
        calls.append((options["start"], n))
        return compute(self, n, **options)

    monkeypatch.setattr(type(flow), "sample", noted)
    list(sample_part(flow, 70000, 70001, 200000, seed=1, start=5))
    list(sample_part(flow, 199999, 200000, 200000, seed=1, start=5))
    assert calls == [(5 + BATCH_ROWS, BATCH_ROWS), (5 + 3 * BATCH_ROWS, 200000 - 3 * BATCH_ROWS)]


@pytest.mark.parametrize(("shards", "threads"), [(1, 1), (3, 2), (50, 1)])
def test_shards_one_after_the_other_are_the_unbroken_file(
    bundle: Path, tmp_path: Path, shards: int, threads: int
) -> None:
    """The CSV lines of all shards are the bytes of the single file."""
    common = ("-n", "7e4", "--seed", 7, "--start", 5, "--log-prob")
    assert run(sample, bundle, *common, "-o", tmp_path / "whole.csv").exit_code == 0
    more = ("--shards", shards, "--threads", threads)
    assert run(sample, bundle, *common, "-o", tmp_path / "shards", *more).exit_code == 0
    assert data_of(tmp_path / "shards") == (tmp_path / "whole.csv").read_bytes()
    assert len(list((tmp_path / "shards").glob("part-*"))) == shards


@pytest.mark.parametrize("suffix", ["parquet", ".arrow", "npy", "csv.gz", "tsv"])
def test_shards_are_one_table(flow: rnvp_runtime.Flow, tmp_path: Path, suffix: str) -> None:
    """In every format the folder is read as one table with all rows."""
    if suffix in ("parquet", ".arrow"):
        pytest.importorskip("pyarrow")
    sample_shards(flow, tmp_path / "out", 1000, 7, file_format=suffix, seed=2)
    from rnvp_runtime.tables import open_table

    batches = open_table(tmp_path / "out")
    found = np.concatenate([batch.numeric(flow.columns) for batch in batches])
    np.testing.assert_array_equal(found.astype(np.float32), flow.sample(1000, seed=2))


def test_the_second_run_draws_what_is_missing(flow: rnvp_runtime.Flow, tmp_path: Path) -> None:
    """Complete shards stay unchanged. Without a seed, the seed of the first run is used."""
    folder = tmp_path / "out"
    first = sample_shards(flow, folder, 1000, 10)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("part-*")}
    expected = contents(folder)
    for number in (3, 4, 9):
        (folder / f"part-{number:05}.csv").unlink()
    second = sample_shards(flow, folder, 1000, 10)
    assert (first.finished_before, first.rows) == (0, 1000)
    assert (second.finished_before, second.rows, second.seed) == (7, 300, first.seed)
    assert contents(folder) == expected
    kept = [path for path, time in before.items() if path.stat().st_mtime_ns == time]
    assert len(kept) == 7


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"n": 999},
        {"shards": 9},
        {"temperature": 0.5},
        {"log_prob": True},
        {"start": 1},
    ],
)
def test_another_job_is_refused(
    flow: rnvp_runtime.Flow, tmp_path: Path, other: dict[str, Any]
) -> None:
    """The error names what differs, and the files of the first job stay."""
    options: dict[str, Any] = {"n": 1000, "shards": 10, "seed": 7}
    sample_shards(flow, tmp_path / "out", **options)
    expected = contents(tmp_path / "out")
    name = {"n": "rows"}.get(next(iter(other)), next(iter(other)))
    with pytest.raises(OutputError, match=f"holds another job: {name} is"):
        sample_shards(flow, tmp_path / "out", **{**options, **other})
    assert contents(tmp_path / "out") == expected


def test_another_flow_is_refused(
    flow: rnvp_runtime.Flow, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    """A bundle with another sampler cannot continue the job, even with the same id."""
    sample_shards(flow, tmp_path / "out", 10, 2, seed=7)
    other = rnvp_runtime.load(make_bundle(dtype="float64"))
    with pytest.raises(OutputError, match="another job: sampler is"):
        sample_shards(other, tmp_path / "out", 10, 2, seed=7)


def test_a_folder_with_other_files_is_left_alone(flow: rnvp_runtime.Flow, tmp_path: Path) -> None:
    """A folder that no job made is refused and nothing is written into it."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes.txt and is not the folder of a job"):
        sample_shards(flow, tmp_path, 10, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_two_runs_do_not_write_one_folder(flow: rnvp_runtime.Flow, tmp_path: Path) -> None:
    """A second run is refused while another run writes the folder."""
    folder = tmp_path / "out"

    def second(done: int, of: int) -> None:
        with pytest.raises(OutputError, match="another run is writing"):
            sample_shards(flow, folder, 10, 2, seed=7)

    assert sample_shards(flow, folder, 10, 2, seed=7, progress=second).rows == 10


@pytest.mark.parametrize(("n", "shards"), [(3, 4), (0, 1)])
def test_more_shards_than_rows_are_refused(
    flow: rnvp_runtime.Flow, tmp_path: Path, n: int, shards: int
) -> None:
    """Each shard must have at least one row."""
    with pytest.raises(InputError, match="each shard has at least one row"):
        sample_shards(flow, tmp_path / "out", n, shards)


def test_a_wrong_context_makes_no_folder(conditional_bundle: Path, tmp_path: Path) -> None:
    """Arguments that do not fit the flow are refused before anything is written."""
    found = run(sample, conditional_bundle, "-n", 10, "-o", tmp_path / "out", "--shards", 2)
    assert found.exit_code == 2
    assert "conditional on c0" in found.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--shards", 2),
        ("-n", 10, "--shards", 2),
        ("-n", 10, "--format", "csv", "-o", "x.csv"),
        ("-n", 10, "--shards", 2, "-o", "x.csv"),
        ("-n", 10, "--shards", 2, "-o", ""),
    ],
)
def test_options_that_do_not_go_together(bundle: Path, arguments: tuple[object, ...]) -> None:
    """They give a usage error."""
    assert run(sample, bundle, *arguments).exit_code == 2


@pytest.fixture
def tables(flow: rnvp_runtime.Flow, tmp_path: Path) -> Path:
    """A folder with three tables, one of them in a subfolder."""
    sample_shards(flow, tmp_path / "year", 3000, 3, seed=1)
    (tmp_path / "year" / "late").mkdir()
    os.replace(tmp_path / "year" / "part-00002.csv", tmp_path / "year" / "late" / "december.csv")
    return tmp_path / "year"


def test_each_file_is_scored_as_it_is_alone(bundle: Path, tables: Path, tmp_path: Path) -> None:
    """Each output has the bytes that rnvp-score writes for that file alone."""
    found = run(score, bundle, tables, "-o", f"{tmp_path}/scored/", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["files"] == 3
    for name in ("part-00000.csv", "part-00001.csv", "late/december.csv"):
        run(score, bundle, tables / name, "-o", tmp_path / "alone.csv", "--force")
        expected = (tmp_path / "alone.csv").read_bytes()
        assert (tmp_path / "scored" / name).read_bytes() == expected


def test_new_and_changed_files_are_scored(
    flow: rnvp_runtime.Flow, tables: Path, tmp_path: Path
) -> None:
    """A second run scores only files that are new or changed."""
    out = tmp_path / "scored"
    assert score_folder(flow, str(tables), out).rows == 3000
    assert score_folder(flow, str(tables), out).rows == 0
    (tables / "new.csv").write_text("x0,x1\n1,2\n")
    changed = tables / "part-00000.csv"
    changed.write_text("x1,x0\n3,4\n5,6\n")
    os.utime(changed, ns=(changed.stat().st_mtime_ns + 10**9,) * 2)
    again = score_folder(flow, str(tables), out)
    assert (again.files, again.finished_before, again.rows) == (4, 2, 3)
    assert len((out / "part-00000.csv").read_text().splitlines()) == 3


def test_a_bad_file_stops_the_job_and_keeps_the_others(
    bundle: Path, tables: Path, tmp_path: Path
) -> None:
    """The scored files stay. The next run continues after the file is corrected."""
    bad = tables / "part-00001.csv"
    bad.write_text("x0,x1\n1,\n")
    out = tmp_path / "scored"
    found = run(score, bundle, tables, "-o", f"{out}/")
    assert found.exit_code == 1
    assert "part-00001.csv: 1 row holds no finite number: 1: correct them" in found.stderr
    assert (out / "part-00000.csv").exists()
    assert not bad.parent.joinpath(out, "part-00001.csv").exists()
    bad.write_text("x0,x1\n1,2\n")
    assert run(score, bundle, tables, "-o", f"{out}/").exit_code == 0
    assert (out / "_SUCCESS").exists()


def test_a_pattern_and_another_format(bundle: Path, tables: Path, tmp_path: Path) -> None:
    """--format gives the suffix of all files, and a pattern chooses the tables."""
    out = tmp_path / "scored"
    found = run(score, bundle, f"{tables}/part-*.csv", "-o", f"{out}/", "--format", "npy")
    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in out.glob("*.npy")) == ["part-00000.npy", "part-00001.npy"]
    assert np.load(out / "part-00000.npy").shape == (1000,)


@pytest.mark.parametrize("inside", ["", "scored"])
def test_the_tables_are_never_overwritten(bundle: Path, tables: Path, inside: str) -> None:
    """The output may not be the folder of the tables or lie within it."""
    before = contents(tables / "late")
    found = run(score, bundle, tables, "-o", f"{tables / inside}/")
    assert found.exit_code == 1
    assert "which holds the tables: name another" in found.stderr
    assert contents(tables / "late") == before


def test_two_tables_of_one_name_are_refused(bundle: Path, tables: Path, tmp_path: Path) -> None:
    """For example, a.csv and a.csv.gz would both become a.npy."""
    import gzip

    (tables / "part-00000.csv.gz").write_bytes(
        gzip.compress((tables / "part-00000.csv").read_bytes())
    )
    found = run(score, bundle, tables, "-o", f"{tmp_path}/scored/", "--format", "npy")
    assert "would both be" in found.stderr


def test_the_progress_says_rate_and_time_left() -> None:
    """The line has rows per second and the remaining time at that rate."""
    text = progress_text("Sampling", 1_250_000, 0.125, 2.5)
    assert text == "Sampling 12.5 %, 1,250,000 rows, 500,000 rows/s, 18 s left"
    assert progress_text("Scoring", 0, 0.0, 0.1).endswith("0 rows/s")
    assert "2 d 6 h left" in progress_text("Sampling", 10, 0.5, 54 * 3600)


@pytest.mark.skipif(os.name == "nt", reason="the test kills by POSIX signal")
def test_killed_runs_are_resumed(bundle: Path, tmp_path: Path) -> None:
    """Each command is killed twice. No row is lost or repeated, and no final file is partial."""
    both(bundle, tmp_path, moments=2, rows=100_000)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the test kills by POSIX signal")
def test_runs_killed_at_many_moments_are_resumed(bundle: Path, tmp_path: Path) -> None:
    """The test kills each command 12 times, sometimes within a file."""
    halves = both(bundle, tmp_path, moments=12, rows=300_000)
    assert min(halves.values()) > 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the peak of a child is not known here")
def test_memory_does_not_grow_with_the_rows(bundle: Path, tmp_path: Path) -> None:
    """Eight times the rows change the peak by less than 10 %; see tests/scale/memory.py."""
    pytest.importorskip("pyarrow")
    for measured in (scoring, sampling):
        few, many = (measured(bundle, tmp_path, rows) for rows in (500_000, 4_000_000))
        assert many < 1.1 * few
