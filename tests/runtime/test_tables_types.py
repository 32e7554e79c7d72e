"""Columns of every type are written as they are, as a wider type, or refused in one line."""

import re
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rnvp_runtime import TableError
from rnvp_runtime.tables import open_table, open_writer

TYPED = [".parquet", ".arrow"]


def copy(source: Path, target: Path) -> Any:
    """Write the table in ``source`` with one more column, as rnvp-score does; what was written."""
    table = open_table(source)
    with open_writer(target, like=table) as writer:
        for batch in table:
            writer.write({**batch.columns(), "added": np.zeros(len(batch), "f4")})
    if target.suffix == ".csv":
        return target.read_text()
    return (
        pq.read_table(target)
        if target.suffix == ".parquet"
        else pa.ipc.open_file(target).read_all()
    )


def stream(path: Path, columns: Sequence[Any]) -> Path:
    """Write batches of a column called k as a stream of Arrow."""
    with pa.ipc.new_stream(path, pa.schema([("k", columns[0].type)])) as writer:
        for column in columns:
            writer.write_table(pa.table({"k": column}))
    return path


def folder(path: Path, columns: Sequence[Any]) -> Path:
    """Write a folder of Parquet files, 0.parquet and so on, with a column called k."""
    path.mkdir()
    for i, column in enumerate(columns):
        pq.write_table(pa.table({"k": column}), path / f"{i}.parquet")
    return path


WIDER = [
    ([1], pa.int32(), [2**40], pa.int64(), pa.int64()),
    ([1], pa.int64(), [1.5], pa.float64(), pa.float64()),
    ([0.5], pa.float32(), [0.1], pa.float64(), pa.float64()),
    ([None], pa.null(), ["a"], pa.string(), pa.string()),
    (["b"], pa.string(), ["a"], pa.large_string(), pa.large_string()),
    (["b"], pa.string(), ["a"], pa.dictionary(pa.int32(), pa.string()), pa.string()),
]


@pytest.mark.parametrize("suffix", TYPED)
@pytest.mark.parametrize(("ours", "one", "theirs", "other", "kind"), WIDER, ids=str)
def test_files_of_several_types_are_written_as_the_wider_one(
    tmp_path: Path, suffix: str, ours: Any, one: Any, theirs: Any, other: Any, kind: Any
) -> None:
    """The column of a folder has a type that holds the values of all files, in any order."""
    for i, columns in enumerate(permutations([pa.array(ours, one), pa.array(theirs, other)])):
        found = copy(folder(tmp_path / f"in{i}", columns), tmp_path / f"out{suffix}")["k"]
        assert found.type == kind
        assert found.to_pylist() == [value for column in columns for value in column.to_pylist()]


@pytest.mark.parametrize("suffix", TYPED)
@pytest.mark.parametrize("kind", [pa.int64(), pa.bool_(), pa.date32()], ids=str)
def test_files_without_a_common_type_are_refused_before_the_work(
    tmp_path: Path, suffix: str, kind: Any
) -> None:
    """The error names the column and both files, when the writer opens."""
    table = open_table(folder(tmp_path / "in", [pa.array(["a"]), pa.nulls(1, kind)]))
    said = re.escape(f"in is not one table: column 'k' is {kind} in ")
    said += r".*1\.parquet, string in .*0\.parquet: convert it in one of them"
    target = tmp_path / f"out{suffix}"
    with pytest.raises(TableError, match=said), open_writer(target, like=table):
        pass


def test_files_of_arrays_are_written_as_the_wider_type(tmp_path: Path) -> None:
    """The arrays of .npz files have types as the columns of Parquet files do."""
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "0.npz", k=np.array([1, 2]), s=np.array(["a", "b"]))
    np.savez(tmp_path / "in" / "1.npz", k=np.array([0.5]), s=np.array(["long"]))
    found = copy(tmp_path / "in", tmp_path / "out.parquet")
    assert found["k"].to_pylist() == [1.0, 2.0, 0.5]
    assert found["s"].to_pylist() == ["a", "b", "long"]


def test_matrices_of_several_dtypes_are_one_table(tmp_path: Path) -> None:
    """Numbers are float64 if some file holds numbers beyond float32."""
    (tmp_path / "in").mkdir()
    for i, dtype in enumerate(("f4", "f8")):
        np.save(tmp_path / "in" / f"{i}.npy", np.full((2, 1), 0.1, dtype))
    numbers = [batch.numeric(["a"]) for batch in open_table(tmp_path / "in")]
    assert {array.dtype for array in numbers} == {np.dtype(np.float64)}


def test_batches_are_written_in_the_types_of_the_first(tmp_path: Path) -> None:
    """A later batch of a narrower type is converted; one of a wider type is an error."""
    with open_writer(tmp_path / "t.parquet") as writer:
        writer.write({"k": np.array([0.5])})
        writer.write({"k": np.array([1], np.int32)})
        for wider in (["a"], np.array([1j])):
            with pytest.raises(TableError, match="column 'k'"):
                writer.write({"k": wider})
    assert pq.read_table(tmp_path / "t.parquet")["k"].to_pylist() == [0.5, 1.0]


def test_a_column_may_hold_nulls_in_one_file_only(tmp_path: Path) -> None:
    """A column that one file declares without nulls is written with the nulls of another."""
    path = folder(tmp_path / "in", [pa.array([1]), pa.array([None], pa.int64())])
    schema = pa.schema([pa.field("k", pa.int64(), nullable=False)])
    pq.write_table(pa.table({"k": [1]}, schema=schema), path / "0.parquet")
    assert copy(path, tmp_path / "out.arrow")["k"].to_pylist() == [1, None]


@pytest.mark.parametrize("suffix", [*TYPED, ".csv"])
def test_dictionaries_may_differ_between_batches(tmp_path: Path, suffix: str) -> None:
    """A stream of Arrow may replace a dictionary. The written file has the same text."""
    columns = [pa.array(text).dictionary_encode() for text in (["a", "b"], ["c", "a"], ["b", "b"])]
    found = copy(stream(tmp_path / "in.arrow", columns), tmp_path / f"out{suffix}")
    if suffix == ".csv":
        assert found == "k,added\na,0.0\nb,0.0\nc,0.0\na,0.0\nb,0.0\nb,0.0\n"
    else:
        assert pa.types.is_dictionary(found["k"].type)
        assert found["k"].to_pylist() == ["a", "b", "c", "a", "b", "b"]


@pytest.mark.parametrize("suffix", [*TYPED, ".csv"])
def test_run_end_encoded_columns_are_written(tmp_path: Path, suffix: str) -> None:
    """Formats without this encoding get the values."""
    column = pc.run_end_encode(pa.array(["a", "b", "b"]))
    found = copy(stream(tmp_path / "in.arrow", [column]), tmp_path / f"out{suffix}")
    text = found.split() if suffix == ".csv" else found["k"].to_pylist()
    assert text == (["k,added", "a,0.0", "b,0.0", "b,0.0"] if suffix == ".csv" else ["a", "b", "b"])


UNION = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
ODD: dict[str, Any] = {
    "union": UNION,
    "interval": pa.array([pa.MonthDayNano([1, 2, 3])]),
    "list": pa.array([[1]]),
    "binary": pa.array([b"\xff"]),
}


@pytest.mark.parametrize("column", ODD.values(), ids=ODD)
@pytest.mark.parametrize("suffix", [*TYPED, ".csv"])
def test_the_advice_for_a_type_that_cannot_be_written_is_true(
    tmp_path: Path, suffix: str, column: Any
) -> None:
    """A column is written as it is, or the error names it and another format that holds it."""
    path, said = stream(tmp_path / "in.arrow", [column]), ""
    try:
        found = copy(path, tmp_path / f"out{suffix}")["k"].to_pylist()
    except TableError as error:
        found, said = None, str(error)
    if found is None:
        assert suffix != ".arrow"
        assert f"column 'k' is {column.type}, which" in said
        assert "write a .arrow" in said
    else:
        assert found == column.to_pylist()


@pytest.mark.parametrize("suffix", [*TYPED, ".csv"])
@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">u8", ">M8[s]", ">U3"])
def test_swapped_bytes_are_written_as_others(tmp_path: Path, suffix: str, dtype: str) -> None:
    """Arrays of a big-endian machine have the same values."""
    results = []
    for kind in (dtype, f"={dtype[1:]}"):
        np.savez(tmp_path / "in.npz", k=np.array([1, 2]).astype(kind))
        results.append(copy(tmp_path / "in.npz", tmp_path / f"out{suffix}"))
    assert results[0] == results[1]


UNFIT: dict[str, Callable[[], Any]] = {
    "complex": lambda: np.ones(1, complex),
    "long double": lambda: np.ones(1, np.longdouble),
    "records": lambda: np.zeros(1, "i4,f4"),
    "months": lambda: np.zeros(1, "M8[M]"),
    "half a character": lambda: np.array(["\ud800"]),
}


@pytest.mark.parametrize("suffix", [*TYPED, ".csv"])
@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
def test_arrays_that_no_column_holds_are_one_line(
    tmp_path: Path, suffix: str, make: Callable[[], Any]
) -> None:
    """The error names the column. CSV holds what has a text in UTF-8."""
    np.savez(tmp_path / "in.npz", k=make())
    has_text = suffix == ".csv" and make().dtype.kind != "U"
    if has_text or make().dtype == np.float64:  # a long double of some machines
        copy(tmp_path / "in.npz", tmp_path / f"out{suffix}")
        return
    with pytest.raises(TableError, match=r"^column 'k' [^\n]*$"):
        copy(tmp_path / "in.npz", tmp_path / f"out{suffix}")
