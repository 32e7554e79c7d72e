"""Tables on disk: what is read, what is written, and the errors of both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnvp_runtime import RnvpError, TableError
from rnvp_runtime.tables import describe_gaps, open_table, open_writer, rows_with_gaps

CSV = "id,a,b,colour\n1,0.5,-1,red\n2,,2e3,green\n3,4,nan,\n"
VALUES = [[0.5, -1.0], [np.nan, 2000.0], [4.0, np.nan]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a text file and returns its path."""

    def make(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def numeric(path: Path, names: list[str], **options: Any) -> Any:
    """Read the columns ``names`` of all rows as one array."""
    return np.concatenate([batch.numeric(names) for batch in open_table(path, **options)])


@pytest.mark.parametrize("mark", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["plain", "bom"])
def test_csv_columns_are_numbers_by_name(write: Any, mark: str, bom: str) -> None:
    """The reader detects the separator, skips a byte order mark and reads empty cells as NaN."""
    path = write(bom + CSV.replace(",", mark))
    assert open_table(path).columns == ("id", "a", "b", "colour")
    np.testing.assert_array_equal(numeric(path, ["a", "b"]), VALUES)
    np.testing.assert_array_equal(numeric(path, ["b", "a"]), np.array(VALUES)[:, ::-1])


def test_batches_number_their_rows_from_one(write: Any) -> None:
    """first_row counts the rows of data over batches of any size."""
    batches = list(open_table(write(CSV), batch_rows=2))
    assert [(batch.first_row, len(batch)) for batch in batches] == [(1, 2), (3, 1)]


def test_a_table_may_be_read_twice(write: Any) -> None:
    """Each iteration starts from the first row."""
    table = open_table(write(CSV))
    assert [len(b) for b in table] == [len(b) for b in table] == [3]


def test_blank_lines_and_quotes_in_csv(write: Any) -> None:
    """Blank lines are skipped; a quoted cell may hold separators and line ends."""
    path = write('a,"b, c"\r\n1,"x\ny"\r\n\r\n2,z\r\n')
    [batch] = open_table(path)
    cells = {name: list(column) for name, column in batch.columns().items()}
    assert cells == {"a": ["1", "2"], "b, c": ["x\ny", "z"]}


def test_parquet_columns_are_numbers_by_name(tmp_path: Path) -> None:
    """Columns of any numeric type are read, and nulls are NaN."""
    table = pa.table({"a": pa.array([1, None], pa.int8()), "b": [0.5, 1.5], "c": [True, False]})
    pq.write_table(table, tmp_path / "t.parquet")
    found = numeric(tmp_path / "t.parquet", ["b", "a", "c"])
    np.testing.assert_array_equal(found, [[0.5, 1, 1], [1.5, np.nan, 0]])
    assert open_table(tmp_path / "t.parquet").rows == 2


def test_npy_is_mapped_and_has_no_names(tmp_path: Path) -> None:
    """Its columns stand for the requested names, in order."""
    np.save(tmp_path / "t.npy", np.arange(6, dtype=np.int32).reshape(3, 2))
    table = open_table(tmp_path / "t.npy", batch_rows=2)
    assert (table.columns, table.rows) == (None, 3)
    np.testing.assert_array_equal(numeric(table.path, ["p", "q"]), [[0, 1], [2, 3], [4, 5]])
    with pytest.raises(TableError, match="has 2 columns, expected 3: a, b, c"):
        numeric(table.path, ["a", "b", "c"])


@pytest.mark.parametrize("arrays", [{"x": 2, "label": 1}, {"anything": 2}], ids=["x", "only"])
def test_npz_may_hold_one_matrix(tmp_path: Path, arrays: dict[str, int]) -> None:
    """The matrix is named x or is the only array."""
    np.savez(tmp_path / "t.npz", **{n: np.ones((3,) * d) for n, d in arrays.items()})
    assert open_table(tmp_path / "t.npz").columns is None


def test_npz_may_hold_an_array_a_column(tmp_path: Path) -> None:
    """1-d arrays of equal length are columns."""
    np.savez(tmp_path / "t.npz", a=np.arange(3), b=np.ones(3))
    np.testing.assert_array_equal(numeric(tmp_path / "t.npz", ["b", "a"])[:, 1], [0, 1, 2])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty there"),
        ("\n1,2\n", "it is empty there"),
        ("a,b\n", "has column names but no rows"),
        ("1,2\n3,4\n", "the first line looks like data, not column names"),
        ("a,b,a\n1,2,3\n", "more than one column 'a'"),
        ("a,b\n1,2\n3\n", "row 2 has 1 cells, the header 2"),
        ("a,b\n1,2\n3,4,5\n", "row 2 has 3 cells, the header 2"),
        ("a,b\n1,2\n3,x\n", "column 'b', row 2: 'x' is not a number"),
        ("a;b\n1;2,5\n", "'2,5' is not a number: write decimals with a point"),
        ("a,b\n1,2020_01\n", "'2020_01' is not a number"),
        ("a,B\n1,2\n", r"no column 'b' \(did you mean 'B'\?\); there are a, B"),
        (b"a,b\n1,\xff\n", "is not UTF-8 text"),
        ("a,b\n1," + "9" * 200_000 + "\n", "cannot be read as CSV"),
    ],
)
def test_faulty_csv_is_refused(write: Any, content: Any, said: str) -> None:
    """The TableError gives the fault and its position."""
    with pytest.raises(TableError, match=said):
        numeric(write(content), ["a", "b"])


@given(st.data())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_mutated_csv_reads_or_is_one_line(write: Any, data: st.DataObject) -> None:
    """Any change of the bytes gives numbers or a one-line RnvpError."""
    content = bytearray(b"a,b\n1,2\n3,4\n5,6\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 1] = data.draw(st.binary(max_size=2))
        content = content or bytearray(b"\0")
    said = _complaint(write(bytes(content)))
    assert "\n" not in said


def _complaint(path: Path) -> str:
    try:
        numeric(path, ["a", "b"])
    except RnvpError as error:
        return str(error)
    return ""


def test_row_numbers_go_on_over_batches(write: Any) -> None:
    """Errors name the row of the file, not of the batch."""
    path = write("a,b\n" + "1,2\n" * 9 + "1,x\n")
    with pytest.raises(TableError, match="column 'b', row 10"):
        numeric(path, ["a", "b"], batch_rows=4)


def test_text_in_parquet_is_refused(tmp_path: Path) -> None:
    """The error names the first value that is not a number."""
    pq.write_table(pa.table({"a": [None, "red"]}), tmp_path / "t.parquet")
    with pytest.raises(TableError, match="column 'a', row 2: 'red' is string, not a number"):
        numeric(tmp_path / "t.parquet", ["a"])


@pytest.mark.parametrize("name", ["t.parquet", "t.npy", "t.npz"])
def test_files_that_are_not_what_they_are_called(write: Any, name: str) -> None:
    """The error for a damaged file is one line."""
    for content in (b"", b"a,b\n1,2\n", b"PAR1" * 10, b"\x93NUMPY\x01\x00v\x00", b"PK\x03\x04"):
        with pytest.raises(TableError) as error:
            list(open_table(write(content, name)))
        assert "\n" not in str(error.value)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    """An object array is refused."""
    np.save(tmp_path / "t.npy", np.array([[{}]], dtype=object))
    with pytest.raises(TableError):
        open_table(tmp_path / "t.npy")


@pytest.mark.parametrize(
    "array", [np.ones(3), np.ones((2, 2, 2)), np.ones((2, 2), complex), np.empty((0, 2))]
)
def test_npy_must_be_a_matrix_of_numbers(tmp_path: Path, array: Any) -> None:
    """Another rank, dtype, or no rows are refused."""
    np.save(tmp_path / "t.npy", array)
    with pytest.raises(TableError):
        open_table(tmp_path / "t.npy")


def test_paths_that_are_no_table(tmp_path: Path, write: Any) -> None:
    """Missing files, folders and unknown suffixes give different errors."""
    with pytest.raises(TableError, match="does not exist"):
        open_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="is a folder without a table"):
        open_table(tmp_path)
    with pytest.raises(TableError, match=r"is not one of \.csv, \.tsv, \.parquet"):
        open_table(write("a\n1\n", "t.json"))


def test_rows_without_numbers_are_named() -> None:
    """Row numbers start at 1, and at most ten are listed."""
    values = np.array([[0, 1], [np.nan, 1], [np.inf, 1]])
    assert rows_with_gaps(values) == [2, 3]
    assert describe_gaps([2]) == "1 row holds no finite number: 2"
    many = describe_gaps(range(1, 13))
    assert many == "12 rows hold no finite number: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
    assert describe_gaps([1, 2], 4000) == "4,000 rows hold no finite number: 1, 2 and 3,998 more"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    """Numbers keep every bit, over several batches."""
    path, rng = tmp_path / f"t{suffix}", np.random.default_rng(0)
    parts = [rng.normal(size=n).astype(dtype) for n in (3, 4) for dtype in ("f4", "f8")]
    with open_writer(path) as writer:
        writer.write({"single": parts[0], "double": parts[1]})
        writer.write({"single": parts[2], "double": parts[3]})
    found = numeric(path, ["single", "double"])
    np.testing.assert_array_equal(found[:, 0].astype("f4"), np.concatenate(parts[::2]))
    np.testing.assert_array_equal(found[:, 1], np.concatenate(parts[1::2]))


def test_csv_keeps_every_cell(write: Any, tmp_path: Path) -> None:
    """Text is written exactly as it was read."""
    path = write('id,a\n007,1.50\n"a ""b""", 2e+05 \n')
    with open_writer(tmp_path / "out.csv") as writer:
        for batch in open_table(path):
            writer.write(batch.columns())
    assert (tmp_path / "out.csv").read_bytes() == path.read_bytes()


def test_parquet_keeps_every_type(tmp_path: Path) -> None:
    """Parquet keeps pyarrow's types. In CSV they are text, and nulls are empty."""
    kinds = {"n": pa.int8(), "s": pa.string(), "f": pa.float32()}
    cells = {"n": [1, None], "s": ["a", "b"], "f": [0.1, 2.0]}
    table = pa.table({name: pa.array(cells[name], kind) for name, kind in kinds.items()})
    pq.write_table(table, tmp_path / "in.parquet")
    for name in ("out.parquet", "out.csv"):
        with open_writer(tmp_path / name) as writer:
            for batch in open_table(tmp_path / "in.parquet"):
                writer.write(batch.columns())
    assert pq.read_table(tmp_path / "out.parquet").equals(table)
    assert (tmp_path / "out.csv").read_text().split() == ["n,s,f", "1,a,0.1", ",b,2"]


@pytest.mark.parametrize(("vector", "shape"), [(False, (12, 1)), (True, (12,))])
def test_npy_grows_by_batches(tmp_path: Path, vector: bool, shape: tuple[int, ...]) -> None:
    """The final header has the number of rows of all batches."""
    with open_writer(tmp_path / "t.npy", vector=vector) as writer:
        for low in (0, 5):
            writer.write({"a": np.arange(low, low + (5, 7)[low > 0], dtype=np.float32)})
    found = np.load(tmp_path / "t.npy")
    assert (found.shape, found.dtype) == (shape, np.float32)
    np.testing.assert_array_equal(found.ravel(), np.arange(12))


def test_no_rows_are_a_table_too(tmp_path: Path) -> None:
    """The file keeps the names and the dtype."""
    for name in ("t.csv", "t.parquet", "t.npy"):
        with open_writer(tmp_path / name) as writer:
            writer.write({"a": np.empty(0, "f4"), "b": np.empty(0, "f4")})
    assert (tmp_path / "t.csv").read_text() == "a,b\n"
    assert pq.read_table(tmp_path / "t.parquet").column_names == ["a", "b"]
    assert np.load(tmp_path / "t.npy").shape == (0, 2)


def _write_and_fail(path: Path, error: type[BaseException]) -> None:
    with open_writer(path) as writer:
        writer.write({"a": np.ones(3)})
        raise error


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.npy"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, TableError])
def test_a_failure_leaves_the_target_as_it_was(tmp_path: Path, name: str, error: Any) -> None:
    """After an exception or Ctrl-C the target is unchanged and no other file is left."""
    (tmp_path / name).write_text("before")
    with pytest.raises(error):
        _write_and_fail(tmp_path / name, error)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


def test_a_table_may_be_written_onto_itself(write: Any) -> None:
    """The old file is read until the new one replaces it."""
    path = write(CSV)
    with open_writer(path) as writer:
        for batch in open_table(path, batch_rows=1):
            writer.write(batch.columns())
    assert path.read_text() == CSV


def test_targets_that_cannot_be_written(tmp_path: Path) -> None:
    """An unknown suffix, a missing folder and an existing folder give different errors."""
    (tmp_path / "folder.csv").mkdir()
    for name, said in [
        ("t.xlsx", r"name it one of \.csv, \.tsv, \.parquet, \.npy"),
        ("none/t.csv", "does not exist"),
        ("folder.csv", "is not a regular file"),
    ]:
        with pytest.raises(TableError, match=said), open_writer(tmp_path / name):
            pass


def test_a_link_keeps_pointing(tmp_path: Path) -> None:
    """A symbolic link stays, and its target is written."""
    (tmp_path / "real.csv").write_text("before")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    with open_writer(tmp_path / "link.csv") as writer:
        writer.write({"a": ["1"]})
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "a\n1\n"
