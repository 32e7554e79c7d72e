"""The line that a command shows while it works."""

import pytest

from rnvp_runtime.tables.row_estimate import estimate_rows
from rnvp_runtime.terminal.progress import progress_line


def test_it_says_the_total_the_time_left_and_the_rate() -> None:
    """A line of 60 columns has room for all parts."""
    line = progress_line("Scoring", 1_250_000, 5_000_000, 4.0, 60)
    assert line == "Scoring 25 % of 5,000,000 rows, 0:12 left, 312,500 rows/s"


def test_an_estimate_is_marked() -> None:
    """The number of rows of a CSV file is an estimate, which ~ marks."""
    line = progress_line("Scoring", 10, 20, 7200.0, 80, estimated=True)
    assert line == "Scoring 50 % of ~20 rows, ~2:00:00 left, 0 rows/s"
    assert progress_line("Scoring", 30, 20, 1.0, 80, estimated=True).startswith("Scoring 100 %")


@pytest.mark.parametrize("rows", [None, 0, 5, 10**15])
@pytest.mark.parametrize("width", range(0, 70, 3))
def test_a_line_is_never_wider_than_the_terminal(rows: int | None, width: int) -> None:
    """A wrapped line could not be overwritten."""
    for done in (0, 5, 10**14):
        assert len(progress_line("Sampling", done, rows, 3.0, width)) <= width


@pytest.mark.parametrize("rows", [0, 1, 1000, 200_000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_rows_of_a_csv_file_are_estimated(tmp_path, rows: int, end: str) -> None:  # type: ignore[no-untyped-def]
    """The estimate is within 1 % for lines of similar lengths."""
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x0,x1", *(f"{i:07d},{-i:08d}" for i in range(rows))]) + end)
    assert estimate_rows(path) == pytest.approx(rows, rel=0.01)


def test_other_tables_are_not_estimated(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Compressed files, standard input, folders and URIs have no estimate."""
    (tmp_path / "t.csv.gz").write_bytes(b"")
    for location in (tmp_path / "t.csv.gz", "-", tmp_path, "s3://bucket/t.csv"):
        assert estimate_rows(location) is None
